#!/bin/bash
# Runs exported migrations by the runners themselves: up must end in the dump that `refactor materialize` gives, and down
# in the one from before. Says what is missing, and skips it.
#
#   DATABASE_URL=postgresql://postgres@127.0.0.1:5432/postgres tests/clients/runners.sh [RUNNER...]
#
# Wanted on the PATH: refactor, psql, pg_dump, and of the runners those that are to be tried: alembic, django-admin (with
# psycopg), ruby with active_record and pg, dbmate, goose, sqlx, refinery, flyway, liquibase.
set -u
: "${DATABASE_URL:?the URL of a superuser}"
server=${DATABASE_URL%/*}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

TABLES='
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text, "50% #{x} ${y} :z" text);
COMMENT ON COLUMN orders.city IS E'"'"'a \\ b\n-- migrate:down\n%s %(x)s #{1} ${user} :name'"'"';
INSERT INTO customers VALUES (1, '"'Ada'"'), (2, '"'Ben'"'), (3, '"'Cy'"');
INSERT INTO orders VALUES (1, 1, '"'Jena'"', 1), (2, 1, '"'Jena'"', 2), (3, 2, '"'Ulm'"', 3);'

database() { # name: a new database with the tables
  psql -Xq "$server/postgres" -c "DROP DATABASE IF EXISTS $1 WITH (FORCE)" -c "CREATE DATABASE $1" >/dev/null 2>&1
  psql -Xq -v ON_ERROR_STOP=1 "$server/$1" -c "$TABLES" >/dev/null
}

dumped() { # name: the tables of the user and their rows
  pg_dump "$server/$1" --no-owner --table=customers --table=orders | grep -vE '^(--|\\(un)?restrict|SET|SELECT|$)'
}

declared() { # in a directory of its own
  mkdir -p "$work/$1" && cd "$work/$1" || exit 1
  database "from_$1"
  export DATABASE_URL="$server/from_$1"
  refactor -q move-field orders.city customers &&
    refactor -q rename-field 'orders.50% #{x} ${y} :z' '100% #{x} ${y} :z' &&
    refactor -q add-field orders.note text --default "'#{1} \${y} %s :z \\'"
}

check() { # runner, what, database, wanted
  if diff <(dumped "$3") "$4" >"$work/diff"; then echo "$1 $2: as it should be"
  else echo "$1 $2: DIFFERS"; cat "$work/diff"; failed=1; fi
}

state() { psql -XAtq "$server/$1" -c "SELECT string_agg(DISTINCT state, ',') FROM refactor.journal"; }

try() { # runner, the command that must be there; functions up_RUNNER and down_RUNNER run it
  local runner=$1 needs=$2
  if ! eval "$needs" >/dev/null 2>&1; then echo "$runner: skipped, there is no \`$needs\`"; return; fi
  (
    declared "$runner" || exit 1
    psql -Xq "$server/postgres" -c "DROP DATABASE IF EXISTS tool_$runner WITH (FORCE)" -c "CREATE DATABASE tool_$runner TEMPLATE from_$runner" >/dev/null 2>&1
    refactor -q --database-url "$server/tool_$runner" materialize --yes >/dev/null
    dumped "tool_$runner" >"$work/real"
    database "at_$runner"
    dumped "at_$runner" >"$work/before"
    "prepare_$runner" && refactor -q export --for "$runner" --out "$folder" || exit 1
    export DATABASE_URL="$server/at_$runner"
    "up_$runner" >"$work/log" 2>&1 || { echo "$runner up: FAILED"; tail -20 "$work/log"; exit 1; }
    check "$runner" up "at_$runner" "$work/real"
    [ "$(state "at_$runner")" = materialized ] || { echo "$runner: the journal does not agree"; failed=1; }
    refactor status | sed "s/^/$runner: /"
    if "down_$runner" >"$work/log" 2>&1; then
      # A field that comes back comes last: what counts is that all is there.
      dumped "at_$runner" | grep -vE '^(    |COPY|\);)' | tr '\t' '\n' | sort >"$work/back"
      grep -vE '^(    |COPY|\);)' "$work/before" | tr '\t' '\n' | sort | diff - "$work/back" && echo "$runner down: as before" || failed=1
    else [ $? = 77 ] && echo "$runner down: not to be had" || { echo "$runner down: FAILED"; tail -20 "$work/log"; failed=1; }; fi
    exit $failed
  ) || failed=1
}

prepare_plain() { folder=migrations; }
up_plain() { psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$(ls migrations/*.up.sql)"; }
down_plain() { psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$(ls migrations/*.down.sql)"; }

prepare_dbmate() { folder=db/migrations; }
up_dbmate() { dbmate --no-dump-schema --url "$DATABASE_URL?sslmode=disable" migrate; }
down_dbmate() { dbmate --no-dump-schema --url "$DATABASE_URL?sslmode=disable" rollback; }

prepare_goose() { folder=migrations; }
up_goose() { goose -dir migrations postgres "$DATABASE_URL?sslmode=disable" up; }
down_goose() { goose -dir migrations postgres "$DATABASE_URL?sslmode=disable" down; }

prepare_sqlx() { folder=migrations; }
up_sqlx() { sqlx migrate run; }
down_sqlx() { sqlx migrate revert; }

prepare_refinery() { folder=migrations; }
up_refinery() { refinery migrate -e DATABASE_URL -p migrations; }
down_refinery() { psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$(ls migrations/down_*.sql)"; }

prepare_flyway() { folder=sql; }
up_flyway() { flyway -url="jdbc:postgresql://${DATABASE_URL#*@}" -user=postgres -locations=filesystem:sql -baselineOnMigrate=true -baselineVersion=0 migrate; }
down_flyway() { psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$(ls sql/U*.sql)"; }

prepare_liquibase() { folder=changelog; }
liquibase_() { liquibase --changelog-file="$(ls changelog/*.sql)" --url="jdbc:postgresql://${DATABASE_URL#*@}" --username=postgres "$@"; }
up_liquibase() { liquibase_ update; }
down_liquibase() { liquibase_ rollback-count --count=1; }

prepare_rails() { folder=db/migrate; }
rails_() {
  ruby -e 'require "active_record"; ActiveRecord::Base.establish_connection(ENV["DATABASE_URL"])
    ActiveRecord::MigrationContext.new("db/migrate", ActiveRecord::SchemaMigration).public_send(ARGV[0])' "$1"
}
up_rails() { rails_ up; }
down_rails() { rails_ rollback; }

prepare_alembic() {
  folder=migrations/versions
  alembic -q init migrations >/dev/null && sed -i "s|^sqlalchemy.url.*|sqlalchemy.url = ${server/postgresql:/postgresql+psycopg2:}/at_alembic|" alembic.ini
}
up_alembic() { alembic upgrade head; }
down_alembic() { alembic downgrade -1; }

prepare_django() {
  folder=shop/migrations
  mkdir -p shop/migrations && touch shop/__init__.py shop/migrations/__init__.py
  hostport=${server#*@}
  cat >settings.py <<END
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "at_django", "USER": "postgres", "HOST": "${hostport%:*}", "PORT": "${hostport#*:}"}}
INSTALLED_APPS = ["shop"]
SECRET_KEY = "x"
END
}
django_() { PYTHONPATH=. DJANGO_SETTINGS_MODULE=settings django-admin "$@"; }
up_django() { django_ migrate shop; }
down_django() { django_ migrate shop zero; }

declare -A needs=([plain]='command -v psql' [dbmate]='command -v dbmate' [goose]='goose -version' [sqlx]='command -v sqlx'
  [refinery]='command -v refinery' [flyway]='command -v flyway' [liquibase]='command -v liquibase'
  [rails]='ruby -ractive_record -rpg -e 1' [alembic]='command -v alembic' [django]='command -v django-admin')
[ $# -gt 0 ] || set -- plain dbmate goose sqlx refinery flyway liquibase rails alembic django
for runner in "$@"; do try "$runner" "${needs[$runner]}"; done
exit $failed
