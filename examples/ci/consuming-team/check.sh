#!/bin/sh
# What a team that consumes runs for every change, and once a day: what it reads may have changed as well.
# Exit code: 0 it works, 1 something does not fit, 2 used wrongly, 3 a server was not reached.
#
#   DATABASE_URL          an empty Postgres that is thrown away afterwards
#   SCHEMA_REGISTRY_URL   the registry of the teams it reads from; asked, never changed
#   FORMAT                text, github, junit, sarif or json (default: text)
#   MIGRATE               how the team's own migrations are run
set -u
cd "$(dirname "$0")" || exit 2
PATH="$PWD/node_modules/.bin:$PATH"
: "${DATABASE_URL:?an empty Postgres}" "${SCHEMA_REGISTRY_URL:?the registry}"
FORMAT="${FORMAT:-text}"
MIGRATE="${MIGRATE:-psql \"\$DATABASE_URL\" --quiet --set ON_ERROR_STOP=1 \$(printf ' --file %s' migrations/*.sql)}"

worst=0
step() {
  echo "== $1" >&2
  shift
  "$@" || { code=$?; [ "$code" -gt "$worst" ] && worst=$code; }
}
committed() {
  [ -z "$(git status --porcelain -- rejot-manifest.json)" ] && return
  echo "The manifest is not what the code says: run 'rejot-kafka collect --write schemas.ts', and commit it." >&2
  return 1
}

echo "== the team's own migrations" >&2
sh -c "$MIGRATE" || exit 1
step "every statement on the migrated tables" \
  rejot-kafka collect --check --require-database --database "$DATABASE_URL" --write --format "$FORMAT" schemas.ts
step "the manifest is committed" committed
step "what is published now" \
  rejot-kafka schema check --against registry --format "$FORMAT"
exit "$worst"
