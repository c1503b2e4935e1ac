#!/bin/sh
# What a team that publishes runs after a merge, before its source connectors are started with the new manifest: they
# may then be told to register nothing (--register-schemas false).
#
#   SCHEMA_REGISTRY_URL   the registry; the right to write its subjects is needed here only
set -eu
cd "$(dirname "$0")"
PATH="$PWD/node_modules/.bin:$PATH"
rejot-kafka schema register
