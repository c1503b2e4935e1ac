import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { runToEnd, writeFiles } from "./connector.ts";

/** A manifest with one database, `db`, whose address is in `$DB`, and a Kafka that nobody asks. */
export const COLLECT_MANIFEST = {
  slug: "shop",
  manifestVersion: 0,
  connections: [
    { slug: "db", config: { connectionType: "postgres", connectionString: "${DB}" } },
    {
      slug: "events",
      config: { connectionType: "kafka", brokers: ["k:9092"], schemaRegistry: { url: "http://r" } },
    },
  ],
  dataStores: [
    { connectionSlug: "db", config: { connectionType: "postgres", slotName: "s", publicationName: "p" } },
  ],
  eventStores: [{ connectionSlug: "events" }],
};

/** What schema files begin with. */
export const IMPORTS = `import { createPublicSchema, createConsumerSchema, createPostgresPublicSchemaTransformations as on, decimal } from "rejot-kafka";
import { z } from "zod";
`;

/** A folder with a manifest and schema files, and `collect` run in it as a command of its own. */
export async function collectProject(files: Record<string, string>, manifest: object = COLLECT_MANIFEST) {
  const made = await writeFiles({ "rejot-manifest.json": manifest });
  const write = async (name: string, text: string) => {
    await mkdir(dirname(made.path(name)), { recursive: true });
    await writeFile(made.path(name), text);
  };
  for (const [name, text] of Object.entries(files)) await write(name, text);
  return {
    ...made,
    write,
    collect: (args: string[], env: Record<string, string> = {}) =>
      runToEnd("cli/bin.js", ["collect", ...args], { cwd: made.directory, env }),
    manifest: () => readFile(made.path("rejot-manifest.json"), "utf8"),
  };
}
