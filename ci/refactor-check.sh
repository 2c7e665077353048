#!/bin/sh
# Checks the refactorings of a merge request, and writes what is found as Markdown to stdout: whether they commute with
# those of the branch that they go to, the plan with its losses, and clashes with the way out. Ends with 0 if all is well.
#
#   REFACTOR_AGAINST   the branch that it goes to, as in `main`; none: only the files here are checked
#   REFACTOR_SCHEMA    a dump of the tables (`pg_dump --schema-only`), instead of a database
#   DATABASE_URL       a database with the tables, where there is no dump
#   REFACTOR_DIR       the directory of the files, if it is another than `refactorings`
set -u

options() {
  if [ -n "${REFACTOR_DIR:-}" ]; then printf '%s\n' --dir "$REFACTOR_DIR"; fi
  if [ -n "${REFACTOR_SCHEMA:-}" ]; then printf '%s\n' --schema "$REFACTOR_SCHEMA"; fi
}

run() {
  verb=$1
  shift
  # One option a line: names may have spaces.
  options | {
    while IFS= read -r option; do set -- "$@" "$option"; done
    NO_COLOR=1 refactor "$verb" "$@" 2>&1
  }
}

told() {
  printf '```text\n%s\n```\n' "$1"
}

code=0
if [ -n "${REFACTOR_AGAINST:-}" ]; then
  said=$(run check --against "$REFACTOR_AGAINST") || code=$?
  if [ "$code" = 0 ]; then
    printf '### Refactorings: they commute with `%s`\n\n' "$REFACTOR_AGAINST"
  else
    printf '### Refactorings: they clash with `%s`\n\n' "$REFACTOR_AGAINST"
  fi
  told "$said"
fi
if [ "$code" = 0 ]; then
  said=$(run check) || code=$?
  if [ "$code" = 0 ]; then title='the files are in order'; else title='the files are not in order'; fi
  printf '\n### Refactorings: %s\n\n' "$title"
  told "$said"
fi
if [ "$code" = 0 ]; then
  said=$(run plan) || code=$?
  printf '\n<details><summary>The plan, losses first</summary>\n\n'
  told "$said"
  printf '\n</details>\n'
fi
exit "$code"
