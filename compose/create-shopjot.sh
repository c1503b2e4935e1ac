#!/bin/sh
# Runs once, in the Postgres container, when its volume is new: a database for each of ShopJot's teams.
set -eu
for team in accounts orders shop; do
  createdb --username=postgres "shopjot_$team"
  psql --username=postgres --dbname="shopjot_$team" --set=ON_ERROR_STOP=1 --file="/shopjot/$team/tables.sql"
done
