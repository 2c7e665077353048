#!/bin/sh
# Before a commit: can all files be read, and do they make sense one after another? REFACTOR_SCHEMA names a dump of the
# tables, REFACTOR_AGAINST a branch that they must commute with; with neither only the files are read.
set -eu
if [ -z "${REFACTOR_SCHEMA:-}" ]; then exec refactor check --files; fi
refactor check --schema "$REFACTOR_SCHEMA"
if [ -n "${REFACTOR_AGAINST:-}" ]; then
  refactor check --against "$REFACTOR_AGAINST" --schema "$REFACTOR_SCHEMA"
fi
