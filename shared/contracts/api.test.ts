import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  createConsumerSchema,
  createPostgresConsumerSchemaConfig,
  createPostgresPublicSchemaTransformations,
  createPublicSchema,
  PostgresPublicSchemaConfigBuilder,
  type PublicSchemaOptions,
} from "./api.ts";
import { createdSchemas } from "./created-schemas.ts";

const SQL = "SELECT id FROM things WHERE id = :id";
const options = (more: object = {}): PublicSchemaOptions => ({
  source: { dataStoreSlug: "db" },
  outputSchema: z.object({ id: z.string() }),
  version: { major: 1, minor: 0 },
  config: {
    publicSchemaType: "postgres",
    transformations: createPostgresPublicSchemaTransformations("insertOrUpdate", "things", SQL),
  },
  ...more,
});

describe("transformations", () => {
  test("insertOrUpdate is two, each other operation one", () => {
    const operations = (["insertOrUpdate", "insert", "update", "delete"] as const).map((operation) =>
      createPostgresPublicSchemaTransformations(operation, "t", SQL).map((t) => t.operation),
    );
    expect(operations).toEqual([["insert", "update"], ["insert"], ["update"], ["delete"]]);
  });

  test("emit is only said when it was asked for", () => {
    const upsert = createPostgresPublicSchemaTransformations("delete", "t", SQL, { emit: "upsert" });
    expect(upsert).toEqual([{ operation: "delete", table: "t", sql: SQL, emit: "upsert" }]);
    expect(createPostgresPublicSchemaTransformations("delete", "t", SQL)).toEqual([
      { operation: "delete", table: "t", sql: SQL },
    ]);
  });

  test("the builder takes one or several", () => {
    const [one] = createPostgresPublicSchemaTransformations("delete", "t", SQL);
    const several = createPostgresPublicSchemaTransformations("insertOrUpdate", "t", SQL);
    const config = new PostgresPublicSchemaConfigBuilder()
      .addTransformation(one as NonNullable<typeof one>)
      .addTransformation(several)
      .build();
    expect(config.publicSchemaType).toBe("postgres");
    expect(config.transformations.map((t) => t.operation)).toEqual(["delete", "insert", "update"]);
  });
});

describe("public schemas", () => {
  test("zod becomes JSON Schema, JSON Schema stays, and nothing else is added", () => {
    const json = { type: "object", properties: { id: { type: "string" } }, required: ["id"] };
    const fromZod = createPublicSchema("a", options());
    expect(fromZod.outputSchema).toMatchObject(json);
    expect(createPublicSchema("a", options({ outputSchema: json })).outputSchema).toEqual(json);
    expect(Object.keys(fromZod)).toEqual(["name", "source", "outputSchema", "version", "config"]);
    expect(createPublicSchema("a", options({ key: ["id"] })).key).toEqual(["id"]);
  });

  test.each<[string, object, RegExp]>([
    [
      "a misspelt option inside",
      { config: { publicSchemaType: "postgres", transformation: [] } },
      /config.transformations: is missing/,
    ],
    ["no version", { version: undefined }, /version: is missing/],
    [
      "no transformations",
      { config: { publicSchemaType: "postgres", transformations: [] } },
      /has no transformation/,
    ],
    ["zod 3", { outputSchema: { "~standard": { vendor: "zod" }, _def: {} } }, /made with zod 3/],
  ])("%s is refused", (_name, more, message) => {
    expect(() => createPublicSchema("a", options(more))).toThrow(message);
  });

  test("a name that cannot be part of a topic is refused", () => {
    expect(() => createPublicSchema("a b", options())).toThrow(/public schema "a b"[\s\S]*part of a topic/);
  });
});

describe("consumer schemas", () => {
  const source = { manifestSlug: "team", publicSchema: { name: "thing", majorVersion: 1 } };

  test("they take the form of the manifest", () => {
    const config = createPostgresConsumerSchemaConfig("db", "SELECT :id", {
      deleteSql: "SELECT 1",
      onError: "dlq",
    });
    expect(createConsumerSchema("copy", { source, config })).toEqual({
      name: "copy",
      sourceManifestSlug: "team",
      publicSchema: { name: "thing", majorVersion: 1 },
      config: {
        consumerSchemaType: "postgres",
        destinationDataStoreSlug: "db",
        sql: "SELECT :id",
        deleteSql: "SELECT 1",
        onError: "dlq",
      },
    });
  });

  test("a source that is missing is named", () => {
    const config = createPostgresConsumerSchemaConfig("db", "SELECT 1");
    expect(() => createConsumerSchema("copy", { config } as never)).toThrow(/sourceManifestSlug: is missing/);
  });
});

test("every schema created is remembered with its place", () => {
  const before = createdSchemas().length;
  const schema = createPublicSchema("remembered", options());
  const created = createdSchemas().slice(before);
  expect(created).toMatchObject([{ kind: "public", schema }]);
  expect(created[0]?.places[0]?.file).toMatch(/api\.test\.ts$/);
});
