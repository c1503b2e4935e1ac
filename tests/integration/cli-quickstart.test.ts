import { readFile } from "node:fs/promises";
import { expect, inject, test } from "vitest";
import { runToEnd, writeFiles } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";
import { randomName } from "../support/names.ts";
import { startSync } from "../support/sync.ts";
import { waitFor } from "../support/wait-for.ts";

/** The schemas of ReJot's README as they stand there, behind the imports they need. Nothing is exported. */
function schemas(slug: string): string {
  return `import { createConsumerSchema, createPostgresPublicSchemaTransformations, createPublicSchema } from "rejot-kafka";
import { z } from "zod";

createPublicSchema("my-public-schema", {
source: { dataStoreSlug: "source" },
outputSchema: z.object({ id: z.string(), apiKey: z.string() }),
config: {
publicSchemaType: "postgres",
transformations: [
...createPostgresPublicSchemaTransformations(
"insertOrUpdate",
"api_key",
\`SELECT id, key AS "apiKey" FROM api_key WHERE id = :id\`,
),
],
},
version: { major: 1, minor: 0 },
});

createConsumerSchema("my-consumer-schema", {
source: {
manifestSlug: "${slug}",
publicSchema: { name: "my-public-schema", majorVersion: 1 },
},
config: {
consumerSchemaType: "postgres",
destinationDataStoreSlug: "sink",
sql: \`INSERT INTO target_table (id, api_key) VALUES (:id, :apiKey)
ON CONFLICT (id) DO UPDATE SET api_key = :apiKey\`,
},
});
`;
}

test("ReJot's quickstart, typed line by line", async () => {
  const { brokers, registryUrl } = inject("stack");
  const slug = randomName("quickstart").replaceAll("_", "-");
  await using source = await createDatabase({
    sql: "CREATE TABLE api_key (id text PRIMARY KEY, key text NOT NULL)",
  });
  await using sink = await createDatabase({
    sql: "CREATE TABLE target_table (id text PRIMARY KEY, api_key text)",
  });
  await using folder = await writeFiles({
    // As npm init writes it.
    "package.json": { name: "quickstart", version: "1.0.0", type: "commonjs" },
    "schemas.ts": schemas(slug),
  });
  const type = async (line: string) => {
    const result = await runToEnd("cli/bin.js", line.split(" "), { cwd: folder.directory });
    expect(result.exitCode, `rejot-kafka ${line}\n${result.stderr}`).toBe(0);
    return result;
  };
  const slot = randomName("slot");

  await type(`manifest init --slug ${slug}`);
  await type(`manifest connection add --slug source --connection-string ${source.url}`);
  await type(`manifest datastore add --connection source --publication my_rejot_publication --slot ${slot}`);
  await type(`manifest connection add --slug sink --connection-string ${sink.url}`);
  await type("manifest datastore add --connection sink");
  const kafka = `--type kafka --brokers ${brokers.join(",")} --schema-registry ${registryUrl}`;
  await type(`manifest connection add --slug events ${kafka}`);
  await type("manifest eventstore add --connection events");
  expect((await type("manifest info")).stdout).toContain("no errors");
  expect((await type("collect --check --print ./schemas.ts")).stdout).toContain('"my-public-schema"');
  await type("collect --write ./schemas.ts");
  expect(JSON.parse(await readFile(folder.path("rejot-manifest.json"), "utf8"))).toMatchObject({
    publicSchemas: [{ name: "my-public-schema", definitionFile: "schemas.ts" }],
    consumerSchemas: [{ name: "my-consumer-schema" }],
  });

  await using sync = startSync(folder.directory);
  const arrived = () => sink.query("SELECT id, api_key FROM target_table ORDER BY id");
  await sync.waitForReady();
  expect(sync.log()).toContain(`${slug}: publishes source`);
  await source.query(
    "INSERT INTO api_key VALUES ('a', 'one'), ('b', 'two'); UPDATE api_key SET key = 'three' WHERE id = 'a'",
  );
  await waitFor(
    async () =>
      JSON.stringify(await arrived()) ===
      JSON.stringify([
        { id: "a", api_key: "three" },
        { id: "b", api_key: "two" },
      ]),
    { timeoutMs: 60_000, describe: () => `the rows to arrive; its log:\n${sync.log()}` },
  );

  expect(await sync.stop()).toBe(0);
});
