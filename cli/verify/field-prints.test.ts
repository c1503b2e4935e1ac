import { expect, test } from "vitest";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { compileRowEncoder } from "../../shared/contracts/row-encoder.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { frame } from "../../shared/registry/wire-format.ts";
import { describeKey, FieldPrints, wholePrint } from "./field-prints.ts";

const OLD: AvroRecord = {
  type: "record",
  name: "item",
  fields: [
    { name: "id", type: "long" },
    { name: "label", type: ["null", "string"], default: null },
  ],
};
const NEW: AvroRecord = {
  ...OLD,
  fields: [...OLD.fields, { name: "note", type: ["null", "string"], default: null }],
};
const SCHEMAS = new Map([
  [1, OLD],
  [2, NEW],
]);
const registry = {
  schemaById: async (id: number) => {
    const schema = SCHEMAS.get(id);
    if (schema === undefined) throw new RejotError("SCHEMA_NOT_FOUND", { detail: `id ${id}` });
    return schema;
  },
};
const TYPES = { id: { oid: 20, name: "bigint" }, text: { oid: 25, name: "text" } };
const catalog = {
  get: (oid: number) =>
    oid === 20
      ? { ...TYPES.id, kind: "base" as const, category: "N" }
      : { ...TYPES.text, kind: "base" as const, category: "S" },
};

function encode(id: number, ...row: (string | null)[]): Buffer {
  const schema = SCHEMAS.get(id) as AvroRecord;
  const columns = schema.fields.map(({ name }) => ({ name, typeOid: name === "id" ? 20 : 25 }));
  return frame(id, compileRowEncoder(schema, columns, catalog)(row));
}

const prints = new FieldPrints(registry, ["id", "label", "note"]);

async function printOf(value: Buffer): Promise<Buffer> {
  const result = await prints.of(value);
  if (result.print === null) throw new Error(result.reason);
  return result.print;
}

test("a value written with an earlier minor is compared as a reader of the present one sees it", async () => {
  const old = await printOf(encode(1, "7", "a"));
  expect(old.equals(await printOf(encode(2, "7", "a", null)))).toBe(true);
  expect(prints.differing(old, [await printOf(encode(2, "7", "a", "n"))])).toEqual(["note"]);
  expect(wholePrint(encode(1, "7", "a")).equals(wholePrint(encode(2, "7", "a", null)))).toBe(false);
});

test("differing fields are named; of several rows, those of the nearest", async () => {
  const print = await printOf(encode(2, "7", "a", "n"));
  const far = await printOf(encode(2, "8", "b", null));
  const near = await printOf(encode(2, "7", null, "n"));
  expect(prints.differing(print, [far])).toEqual(["id", "label", "note"]);
  expect(prints.differing(print, [far, near])).toEqual(["label"]);
});

test("null and the text null are not the same", async () => {
  const [a, b] = [await printOf(encode(1, "7", null)), await printOf(encode(1, "7", "null"))];
  expect(prints.differing(a, [b])).toEqual(["label"]);
});

test.each([
  ["bytes of another kind", Buffer.from("hello")],
  ["a schema that the registry does not have", frame(99, Buffer.from([2, 0]))],
  ["bytes that end too early", encode(2, "7", "a", "n").subarray(0, 7)],
])("%s cannot be decoded, with the reason", async (_what, value) => {
  expect(await prints.of(value)).toMatchObject({ print: null, reason: expect.stringMatching(/.{10}/) });
});

test("a registry that is away is no fault of the value", async () => {
  const away = new FieldPrints(
    { schemaById: () => Promise.reject(new RejotError("REGISTRY_UNREACHABLE")) },
    [],
  );
  await expect(away.of(encode(1, "7", "a"))).rejects.toMatchObject({ code: "REGISTRY_UNREACHABLE" });
});

test("keys are shown as JSON, or as they are", async () => {
  expect(await describeKey(registry, encode(1, "7", "a"))).toEqual({
    text: '{"id":7,"label":"a"}',
    readable: true,
  });
  expect(await describeKey(registry, Buffer.from([1, 255]))).toEqual({ text: "0x01ff", readable: false });
});
