import { globSync, readFileSync } from "node:fs";
import pg from "pg";

/** Runs `migrations/*.sql` on DATABASE_URL, as psql would: not every machine that runs the tests has it. */
const client = new pg.Client(process.env.DATABASE_URL);
await client.connect();
for (const file of globSync("migrations/*.sql").toSorted()) await client.query(readFileSync(file, "utf8"));
await client.end();
