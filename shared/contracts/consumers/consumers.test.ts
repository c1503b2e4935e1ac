import { describe, expect, test } from "vitest";
import type { ConsumerSchema } from "../../manifest/schema.ts";
import { parseTemplate } from "../../postgres/sql/template.ts";
import type { AvroField, AvroRecord, AvroType } from "../avro-types.ts";
import type { Contract } from "../evolution/schema-change.ts";
import { brokenConsumers, brokenUses } from "./broken-consumers.ts";
import { unansweredDeletes, unknownPlaceholders } from "./consumer-statements.ts";
import { usageOf } from "./consumer-usage.ts";
import { consumerSubject, isSameUsage, publishedUsageOf, usageSchemaOf } from "./usage-schema.ts";

const field = (name: string, type: AvroType, more: Partial<AvroField> = {}): AvroField => ({
  name,
  type,
  ...more,
});
const record = (name: string, fields: AvroField[]): AvroRecord => ({
  type: "record",
  name,
  namespace: "org.accounts.v1",
  fields,
});
const ID = field("id", "long");
const EMAIL = field("email", "string");
const PHONE = field("phone", ["null", "string"], { default: null });
const contract = (fields: AvroField[], key: AvroField[] = [ID]): Contract => ({
  key: record("accountKey", key),
  value: record("account", fields),
});
const BEFORE = contract([ID, EMAIL, PHONE]);

const identity = (sql: string, deleteSql?: string) => ({
  manifestSlug: "@org/shop",
  group: "rejot.sink.org.shop.db",
  consumerSchema: {
    name: "customer",
    sourceManifestSlug: "@org/accounts",
    publicSchema: { name: "account", majorVersion: 1 },
    config: {
      consumerSchemaType: "postgres",
      destinationDataStoreSlug: "db",
      sql,
      ...(deleteSql === undefined ? {} : { deleteSql }),
    },
  } satisfies ConsumerSchema,
});
const usage = (sql: string, deleteSql?: string, seen: Contract = BEFORE) =>
  usageOf(identity(sql, deleteSql), seen);

describe("usage", () => {
  test("names every use with its statement, place and line, and the fields with their types", async () => {
    const sql =
      "INSERT INTO c VALUES (:id,\n  'é :no', :phone::text) -- :email\nON CONFLICT (id) DO UPDATE SET p = :phone";
    const { uses, fields, ...rest } = await usage(sql, "DELETE FROM c WHERE id = :id");
    expect(rest).toEqual({
      manifestSlug: "@org/shop",
      name: "customer",
      group: "rejot.sink.org.shop.db",
      reads: { manifestSlug: "@org/accounts", name: "account", majorVersion: 1 },
    });
    expect(uses.map((u) => [u.statement, u.placeholder, u.field, u.at.line, u.at.column, u.at.text])).toEqual(
      [
        ["sql", ":id", "id", 1, 23, "INSERT INTO c VALUES (:id,"],
        ["sql", ":phone", "phone", 2, 12, "  'é :no', :phone::text) -- :email"],
        ["sql", ":phone", "phone", 3, 36, "ON CONFLICT (id) DO UPDATE SET p = :phone"],
        ["deleteSql", ":id", "id", 1, 26, "DELETE FROM c WHERE id = :id"],
      ],
    );
    expect(fields).toEqual([ID, PHONE]);
  });

  test("places are fields of the value in sql, of the key in deleteSql", async () => {
    const { uses } = await usageOf(
      identity("INSERT INTO c VALUES ($2, $9)", "DELETE FROM c WHERE e = $1"),
      contract([ID, EMAIL], [EMAIL]),
    );
    expect(uses.map((u) => [u.placeholder, u.field])).toEqual([
      ["$2", "email"],
      ["$9", undefined],
      ["$1", "email"],
    ]);
  });

  test("without a version at hand names are known, types are not", async () => {
    const { uses, fields } = await usageOf(identity("SELECT :id, :email"), undefined);
    expect(uses.map((u) => u.field)).toEqual(["id", "email"]);
    expect(fields).toEqual([]);
  });
});

describe("what a change breaks", () => {
  const broken = async (after: Contract, sql: string, deleteSql?: string) =>
    brokenUses(await usage(sql, deleteSql), after).map(
      (b) => `${b.severity} ${b.use.placeholder} in ${b.use.statement}: ${b.message}`,
    );

  test("a removed field, wherever it is used, also when Avro allows it", async () => {
    expect(await broken(contract([ID, EMAIL]), "SELECT :id, :phone, :phone::text")).toEqual([
      'error :phone in sql: "phone" was removed',
      'error :phone in sql: "phone" was removed',
    ]);
  });

  test("a removed field that is not used is nobody's business", async () => {
    expect(await broken(contract([ID, EMAIL]), "SELECT :id, :email")).toEqual([]);
  });

  test.each([
    ["another type", field("email", "long"), /"email" is long now, it was string/],
    ["nullable", field("email", ["null", "string"], { default: null }), /"email" may be null now/],
    [
      "another meaning",
      field("email", { type: "string", logicalType: "uuid" }),
      /"email" is uuid now, it was string/,
    ],
  ])("a retyped field: %s", async (_name, now, message) => {
    expect(await broken(contract([ID, now, PHONE]), "SELECT :email")).toEqual([
      expect.stringMatching(message),
    ]);
    expect(await broken(contract([ID, now, PHONE]), "SELECT :id, :phone")).toEqual([]);
  });

  test("what only new readers mind does not break this one", async () => {
    expect(await broken(contract([ID, EMAIL, field("phone", "string")]), "SELECT :phone")).toEqual([]);
    expect(await broken(contract([ID, EMAIL, PHONE, field("more", "string")]), "SELECT :phone")).toEqual([]);
    expect(await broken(contract([ID, { ...EMAIL, doc: "x" }, PHONE]), "SELECT :email")).toEqual([]);
  });

  test("a field that left the key breaks deleteSql, not sql", async () => {
    const after = contract([ID, EMAIL, PHONE], [EMAIL]);
    expect(await broken(after, "SELECT :id", "DELETE FROM c WHERE id = :id")).toEqual([
      'error :id in deleteSql: "id" is no longer part of the key',
    ]);
  });

  test("a place that is another field's now breaks, whether or not the name is still there", async () => {
    expect(await broken(contract([ID, PHONE, EMAIL]), "SELECT $1, $2")).toEqual([
      'error $2 in sql: $2 was "email", it is "phone" now',
    ]);
    expect(await broken(contract([ID, PHONE, EMAIL]), "SELECT :email")).toEqual([]);
  });

  test("a part of a field that is gone is a warning", async () => {
    const address = (fields: AvroField[]) =>
      field("address", { type: "record", name: "account_address", fields });
    const seen = contract([ID, address([EMAIL, PHONE])]);
    const found = brokenConsumers(
      [await usage("SELECT :address", undefined, seen)],
      contract([ID, address([EMAIL])]),
    );
    expect(found.map((b) => `${b.severity} ${b.message}`)).toEqual([
      expect.stringMatching(/^warning "address.phone" was removed/),
    ]);
  });

  test("a misspelt placeholder is not a change", async () => {
    expect(await broken(BEFORE, "SELECT :emial")).toEqual([]);
  });
});

describe("the form in the registry", () => {
  const at = "2026-11-24T00:00:00.000Z";

  test("is an Avro record of the fields used, and comes back as it was", async () => {
    const published = {
      usage: await usage("SELECT :email,\n $$é$$, :phone", "SELECT :id"),
      topicPrefix: "x.",
      at,
    };
    const schema = usageSchemaOf(published);
    expect(schema).toMatchObject({
      type: "record",
      name: "account",
      namespace: "org.accounts.v1",
      fields: [{ name: "id" }, { name: "email" }, { name: "phone" }],
    });
    expect(publishedUsageOf(JSON.parse(JSON.stringify(schema)))).toEqual(published);
    expect(publishedUsageOf(BEFORE.value)).toBeUndefined();
  });

  test("is judged by the types it was recorded with", async () => {
    const published = publishedUsageOf(
      usageSchemaOf({ usage: await usage("SELECT $2, $3"), topicPrefix: "", at }),
    );
    const after = contract([ID, field("email", "bytes")]);
    expect(brokenConsumers(published === undefined ? [] : [published.usage], after)).toHaveLength(2);
  });

  test("is the same whenever it was published, and another for another SQL", async () => {
    const one = { usage: await usage("SELECT :email"), topicPrefix: "", at };
    expect(isSameUsage(one, { ...one, at: "2027" })).toBe(true);
    expect(isSameUsage(one, { ...one, usage: await usage("SELECT  :email") })).toBe(false);
  });

  test("stands under the topic, the manifest and the consumer schema's name, whatever that is", async () => {
    const of = async (name: string) => {
      const { usage: found } = { usage: { ...(await usage("SELECT 1")), name } };
      return consumerSubject({ usage: found, topicPrefix: "p." });
    };
    expect(await of("customer")).toBe("p.org.accounts.account.v1-consumer.org.shop.customer");
    expect(await of("a/b c")).toMatch(
      /^p\.org\.accounts\.account\.v1-consumer\.org\.shop\.a_b_c-[0-9a-f]{8}$/,
    );
    expect(await of("a/b c")).not.toBe(await of("a b c"));
  });
});

describe("statements", () => {
  const unknown = async (sql: string) =>
    unknownPlaceholders(await parseTemplate(sql), ["id", "label"]).map((e) => [e.detail, e.sql?.column]);

  test("a placeholder without a field is named with its place, and the fields there are", async () => {
    expect(await unknown("SELECT :id, :lable, $$:x$$")).toEqual([[":lable; there is :id, :label", 13]]);
    expect(await unknown("SELECT $2, $3, $0")).toEqual([
      ["$3; there is $1 id, $2 label", 12],
      ["$0; there is $1 id, $2 label", 16],
    ]);
    expect(await unknown("SELECT :label, ':x', a[:1], :id::text FROM t")).toEqual([]);
  });

  test("deletes that are published must be answered", () => {
    const { consumerSchema } = identity("SELECT 1");
    const published = (operation: "insert" | "delete", emit?: "upsert") => ({
      name: "account",
      source: { dataStoreSlug: "db" },
      outputSchema: {},
      version: { major: 1, minor: 0 },
      config: {
        publicSchemaType: "postgres" as const,
        transformations: [{ operation, table: "t", sql: "", ...(emit === undefined ? {} : { emit }) }],
      },
    });
    expect(unansweredDeletes(consumerSchema, published("delete"))?.code).toBe("DELETE_SQL_MISSING");
    expect(unansweredDeletes(consumerSchema, published("delete", "upsert"))).toBeUndefined();
    expect(unansweredDeletes(consumerSchema, published("insert"))).toBeUndefined();
    const { config } = consumerSchema;
    const answered = { ...consumerSchema, config: { ...config, deletes: "ignore" as const } };
    expect(unansweredDeletes(answered, published("delete"))).toBeUndefined();
  });
});
