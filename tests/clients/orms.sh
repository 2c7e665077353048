#!/bin/bash
# Runs one application of a shop and its tests with several ORMs: on the old tables; through `next` with five refactorings
# deferred, as it is and as docs/with-your-orm.md says (FOLLOW); on a rehearsal; and materialized. Prints what passes, and why
# what does not. Says what is missing, and skips it.
#
#   DATABASE_URL=postgresql://postgres@127.0.0.1:5432/postgres tests/clients/orms.sh [ORM...]
#
# Wanted on the PATH: refactor, psql, and of the ORMs those that are to be tried: django and sqlalchemy with alembic (for
# `python3`, or $PYTHON, each with psycopg 3), ruby with activerecord and pg, and where node finds them (NODE_PATH) knex,
# sequelize, typeorm with reflect-metadata, drizzle-orm, each with pg. Fails where a suite fails on tables.
set -u
: "${DATABASE_URL:?the URL of a superuser}"
server=${DATABASE_URL%/*}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
failed=0

declare -A needs=([django]="$python -c 'import django, psycopg'" [sqlalchemy]="$python -c 'import sqlalchemy, alembic, psycopg'"
  [activerecord]='ruby -ractive_record -rpg -e 1' [knex]="node -e 'require(\"knex\"); require(\"pg\")'"
  [sequelize]="node -e 'require(\"sequelize\"); require(\"pg\")'" [drizzle]="node -e 'require(\"drizzle-orm\"); require(\"pg\")'"
  [typeorm]="node -e 'require(\"reflect-metadata\"); require(\"typeorm\"); require(\"pg\")'")
declare -A suite=([django]="$python django/shop.py" [sqlalchemy]="$python sqlalchemy/shop.py" [activerecord]='ruby activerecord/shop.rb'
  [knex]='node knex/shop.js' [sequelize]='node sequelize/shop.js' [typeorm]='node typeorm/shop.js' [drizzle]='node drizzle/shop.js')

defer() {
  refactor -q move-field orders.city customers &&
    refactor -q rename-field customers.name full_name &&
    refactor -q extract-table products.maker --into makers --names name &&
    refactor -q add-field orders.note text --default "''" --not-null &&
    refactor -q rename-table order_lines lines
}

tell() { # ORM, where, whether all must pass: counts, and keeps what fails
  local passed all
  passed=$(grep -c '^ok ' "$work/out")
  all=$(grep -cE '^(not )?ok ' "$work/out")
  row+=" $passed / $all |"
  grep '^not ok' "$work/out" | cut -c1-160 | sed "s/^not ok/$1, $2:/" >>"$work/reasons"
  if [ "$all" = 0 ] || { [ "$3" = must ] && [ "$passed" != "$all" ]; }; then
    echo "$1, $2: FAILED"; tail -20 "$work/out"; failed=1
  fi
}

try() { # ORM
  local row="| $1 |"
  psql -Xq "$server/postgres" -c "DROP DATABASE IF EXISTS orm_$1 WITH (FORCE)" -c "CREATE DATABASE orm_$1" >/dev/null 2>&1
  export DATABASE_URL="$server/orm_$1"
  psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$here/shop.sql" || { failed=1; return; }
  mkdir -p "$work/$1" && cd "$work/$1" || exit 1
  local run="cd '$here' && exec ${suite[$1]}"

  SHAPE=old bash -c "$run" >"$work/out" 2>&1
  tell "$1" 'old tables' must
  defer || { failed=1; return; }
  SHAPE=new refactor -q exec -- bash -c "$run" >"$work/out" 2>&1
  tell "$1" next may
  SHAPE=new FOLLOW=1 refactor -q exec -- bash -c "$run" >"$work/out" 2>&1
  tell "$1" 'next, as the page says' may
  SHAPE=new refactor -q rehearse -- bash -c "$run" >"$work/out" 2>&1
  tell "$1" rehearse must
  refactor -q materialize --yes >/dev/null || { failed=1; return; }
  SHAPE=new refactor -q exec -- bash -c "$run" >"$work/out" 2>&1
  tell "$1" materialized must
  echo "$row"
  psql -Xq "$server/postgres" -c "DROP DATABASE orm_$1 WITH (FORCE)"
}

[ $# -gt 0 ] || set -- django sqlalchemy activerecord knex sequelize typeorm drizzle
: >"$work/reasons"
echo '| | old tables | `next` | `next`, as the page says | `rehearse` | materialized |'
echo '|---|---|---|---|---|---|'
for orm in "$@"; do
  if eval "${needs[$orm]}" >/dev/null 2>&1; then try "$orm"; else echo "| $orm: skipped |"; fi
done
echo && cat "$work/reasons"
exit $failed
