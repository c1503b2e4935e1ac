import { writeFile } from "node:fs/promises";
import { inject } from "vitest";
import type { ConsumerSchema, Manifest, PublicSchema } from "../../shared/manifest/schema.ts";
import { createSchemaRegistry, type SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { writeFiles } from "./connector.ts";
import { randomName } from "./names.ts";
import { type CliResult, runCliIn } from "./run-cli.ts";

/** A team's folder with a manifest that can be changed; `await using` removes it. */
export interface Team extends AsyncDisposable {
  readonly slug: string;
  readonly directory: string;
  /** Path of the manifest's file. */
  readonly file: string;
  /** Writes the manifest anew. */
  define(parts: TeamParts): Promise<void>;
  /** Runs `rejot-kafka …` in the folder, inside this process. */
  run(...args: string[]): Promise<CliResult>;
}

/** What a team's manifest holds beside its connections. */
export interface TeamParts {
  readonly publicSchemas?: readonly PublicSchema[];
  readonly consumerSchemas?: readonly ConsumerSchema[];
  readonly workspaces?: readonly string[];
}

export interface TeamOptions extends TeamParts {
  /** Default: a random one. */
  readonly slug?: string;
  readonly brokers?: string[];
  readonly registryUrl?: string;
}

/** Makes a team's folder. Its database is never connected to: nobody listens on port 1. */
export async function team(options: TeamOptions = {}): Promise<Team> {
  const slug = options.slug ?? randomName("t").replace("_", "-");
  const stack = inject("stack");
  const manifestOf = ({ publicSchemas, consumerSchemas, workspaces }: TeamParts): Manifest => ({
    slug,
    manifestVersion: 0,
    connections: [
      {
        slug: "db",
        config: { connectionType: "postgres", host: "127.0.0.1", port: 1, user: "u", database: "d" },
      },
      {
        slug: "events",
        config: {
          connectionType: "kafka",
          brokers: options.brokers ?? stack.brokers,
          schemaRegistry: { url: options.registryUrl ?? stack.registryUrl },
        },
      },
    ],
    dataStores: [
      { connectionSlug: "db", config: { connectionType: "postgres", slotName: "s", publicationName: "p" } },
    ],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: [...(publicSchemas ?? [])],
    consumerSchemas: [...(consumerSchemas ?? [])],
    ...(workspaces === undefined ? {} : { workspaces: [...workspaces] }),
  });
  const files = await writeFiles({ "rejot-manifest.json": manifestOf(options) });
  const file = files.path("rejot-manifest.json");
  return {
    slug,
    directory: files.directory,
    file,
    define: (parts) => writeFile(file, JSON.stringify(manifestOf(parts), null, 2)),
    run: (...args) => runCliIn(files.directory, args),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  };
}

/** A public schema "account" with an id and the fields named; those with a "?" may be null. */
export function accountSchema(
  fields: Readonly<Record<string, object>>,
  more: {
    version?: [major: number, minor: number];
    key?: string[];
    deprecated?: PublicSchema["deprecated"];
  } = {},
): PublicSchema {
  const properties = { id: { type: "integer" }, ...fields };
  const names = Object.keys(properties).map((name) => name.replace("?", ""));
  const [major, minor] = more.version ?? [1, 0];
  return {
    name: "account",
    source: { dataStoreSlug: "db" },
    outputSchema: {
      type: "object",
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, type]) => [
          name.replace("?", ""),
          name.endsWith("?") ? { anyOf: [type, { type: "null" }] } : type,
        ]),
      ),
      required: names,
    },
    key: more.key ?? ["id"],
    version: { major, minor },
    ...(more.deprecated === undefined ? {} : { deprecated: more.deprecated }),
    config: {
      publicSchemaType: "postgres",
      transformations: [
        {
          operation: "insert",
          table: "accounts",
          sql: `SELECT ${names.join(", ")} FROM accounts WHERE id = :id`,
        },
        { operation: "delete", table: "accounts", sql: "SELECT :id AS id" },
      ],
    },
  };
}

/** A consumer schema of a team's "account". */
export function accountConsumer(
  sourceManifestSlug: string,
  sql: string,
  more: { name?: string; major?: number; deleteSql?: string } = {},
): ConsumerSchema {
  return {
    name: more.name ?? "customer",
    sourceManifestSlug,
    publicSchema: { name: "account", majorVersion: more.major ?? 1 },
    config: {
      consumerSchemaType: "postgres",
      destinationDataStoreSlug: "db",
      sql,
      deleteSql: more.deleteSql ?? "DELETE FROM customers WHERE id = :id",
    },
  };
}

/** The registry of the run. */
export function stackRegistry(): SchemaRegistry {
  return createSchemaRegistry({ url: inject("stack").registryUrl });
}
