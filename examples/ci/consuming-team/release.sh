#!/bin/sh
# What a team that consumes runs after a merge: tells the registry which fields its statements use, so that publishers'
# checks name it. Its sink connectors may then be told not to (--register-consumers false).
#
#   SCHEMA_REGISTRY_URL   the registry; the right to write its subjects is needed here only
set -eu
cd "$(dirname "$0")"
PATH="$PWD/node_modules/.bin:$PATH"
rejot-kafka schema register-consumers
