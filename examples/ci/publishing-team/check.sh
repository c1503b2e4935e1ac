#!/bin/sh
# What a team that publishes runs for every change, before it is merged.
# Exit code: 0 it may be merged, 1 it breaks something, 2 used wrongly, 3 a server was not reached.
#
#   DATABASE_URL          an empty Postgres that is thrown away afterwards
#   SCHEMA_REGISTRY_URL   the registry that consumers use; asked, never changed
#   KAFKA_BROKERS         asked who still reads, when a whole version was removed
#   BASE                  what the change will be merged into (default: origin/main)
#   FORMAT                text, github, junit, sarif or json (default: text)
#   MIGRATE               how the team's own migrations are run
set -u
cd "$(dirname "$0")" || exit 2
PATH="$PWD/node_modules/.bin:$PATH"
: "${DATABASE_URL:?an empty Postgres}" "${SCHEMA_REGISTRY_URL:?the registry}"
BASE="${BASE:-origin/main}"
FORMAT="${FORMAT:-text}"
MIGRATE="${MIGRATE:-psql \"\$DATABASE_URL\" --quiet --set ON_ERROR_STOP=1 \$(printf ' --file %s' migrations/*.sql)}"

worst=0
step() {
  echo "== $1" >&2
  shift
  "$@" || { code=$?; [ "$code" -gt "$worst" ] && worst=$code; }
}
committed() {
  [ -z "$(git status --porcelain -- rejot-manifest.json schemas)" ] && return
  echo "The manifest is not what the code says: run 'rejot-kafka collect --write schemas.ts', and commit it." >&2
  return 1
}

echo "== the team's own migrations" >&2
sh -c "$MIGRATE" || exit 1
step "every statement on the migrated tables" \
  rejot-kafka collect --check --require-database --database "$DATABASE_URL" --write --format "$FORMAT" schemas.ts
step "the manifest is committed" committed
step "what consumers were promised, and whom a change breaks" \
  rejot-kafka schema check --against "git:$BASE" --against registry --against schemas --format "$FORMAT"
exit "$worst"
