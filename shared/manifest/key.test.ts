import { expect, test } from "vitest";
import { resolveKey } from "./key.ts";
import type { PublicSchema, Transformation } from "./schema.ts";

function schema(transformations: Transformation[], more: Partial<PublicSchema> = {}): PublicSchema {
  const fields = ["id", "name", "tenant"];
  return {
    name: "thing",
    source: { dataStoreSlug: "db" },
    outputSchema: {
      type: "object",
      properties: Object.fromEntries(fields.map((f) => [f, { type: "string" }])),
      required: fields,
    },
    version: { major: 1, minor: 0 },
    config: { publicSchemaType: "postgres", transformations },
    ...more,
  };
}

const on = (operation: Transformation["operation"], sql: string, table = "things"): Transformation => ({
  operation,
  table,
  sql,
});
const HERE = { schema: () => ({ location: "here" }), transformation: () => ({ location: "there" }) };
const codes = async (s: PublicSchema) => (await resolveKey(s, HERE)).diagnostics.map((d) => d.code);

test("an explicit key comes first", async () => {
  const explicit = schema([on("delete", "SELECT :id AS id, :name AS name")], { key: ["name"] });
  expect(await resolveKey(explicit, HERE)).toEqual({ keyFields: ["name"], origin: "key", diagnostics: [] });
});

test("else what the delete transformation selects", async () => {
  const s = schema([
    on("insert", "SELECT id, name FROM things WHERE name = :name"),
    on("delete", "SELECT :id::bigint AS id, tenant FROM things WHERE id = :id"),
  ]);
  expect(await resolveKey(s, HERE)).toMatchObject({ keyFields: ["id", "tenant"], origin: "delete" });
});

test("else the selected columns that pin the changed row, under their output names", async () => {
  const one = schema([
    on("update", "SELECT t.uid::text AS id, t.name FROM things t JOIN x USING (a) WHERE t.uid = :uid"),
  ]);
  expect(await resolveKey(one, HERE)).toMatchObject({ keyFields: ["id"], origin: "where" });
  const two = schema([
    on("update", "SELECT tenant, id FROM public.things WHERE id = $1 AND tenant = $2", "public.things"),
  ]);
  expect(await resolveKey(two, HERE)).toMatchObject({ keyFields: ["id", "tenant"] });
});

test("the changed table is found as Postgres reads its name", async () => {
  for (const table of ['"Thing s"', 'public."Thing s"']) {
    const quoted = schema([on("update", 'SELECT id FROM "Thing s" WHERE id = :id', table)]);
    expect(await resolveKey(quoted, HERE)).toMatchObject({ keyFields: ["id"] });
  }
  const folded = schema([on("update", "SELECT id FROM things WHERE id = :id", "Public.Things")]);
  expect(await resolveKey(folded, HERE)).toMatchObject({ keyFields: ["id"] });
});

test("no key: nothing pinned, a pinned column not selected, two answers", async () => {
  expect(await codes(schema([on("insert", "SELECT id FROM things")]))).toEqual(["KEY_NOT_FOUND"]);
  const half = schema([on("insert", "SELECT id FROM things WHERE id = :id AND tenant = :tenant")]);
  expect(await codes(half)).toEqual(["KEY_NOT_FOUND"]);
  const two = schema([
    on("insert", "SELECT id FROM things WHERE id = :id"),
    on("update", "SELECT name FROM things WHERE name = :name"),
  ]);
  expect(await codes(two)).toEqual(["KEY_NOT_FOUND"]);
});

test("a fan-out from a joined table does not make the key unclear", async () => {
  const s = schema([
    on("insert", "SELECT t.id FROM things t WHERE t.id = :id"),
    on("update", "SELECT t.id FROM owners o JOIN things t ON t.owner = o.id WHERE o.id = :id", "owners"),
  ]);
  expect(await resolveKey(s, HERE)).toMatchObject({ keyFields: ["id"], diagnostics: [] });
});

test("a delete that re-publishes the whole object says nothing about the key", async () => {
  const s = schema([
    on("insert", "SELECT id FROM things WHERE id = :id"),
    { ...on("delete", "SELECT id, name, tenant FROM things WHERE id = :thing_id", "parts"), emit: "upsert" },
  ]);
  expect(await resolveKey(s, HERE)).toMatchObject({ keyFields: ["id"], origin: "where" });
});

test("key fields that do not exist or may be absent, deletes that miss one, SQL that does not parse", async () => {
  expect(await codes(schema([], { key: ["nope"] }))).toEqual(["KEY_FIELD_UNKNOWN"]);
  const optional = schema([], { key: ["id"], outputSchema: { properties: { id: {} } } });
  expect(await codes(optional)).toEqual(["KEY_FIELD_NULLABLE"]);
  const misses = schema([on("delete", "SELECT :id AS id")], { key: ["id", "tenant"] });
  expect(await codes(misses)).toEqual(["DELETE_WITHOUT_KEY"]);
  expect(await codes(schema([on("insert", "SELEC 1")]))).toEqual(["SQL_DOES_NOT_PARSE"]);
});
