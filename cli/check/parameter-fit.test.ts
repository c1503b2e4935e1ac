import { expect, test } from "vitest";
import type { AvroType } from "../../shared/contracts/avro-types.ts";
import { POSTGRES_TYPES } from "../../shared/contracts/type-table.ts";
import type { PgType } from "../../shared/postgres/type-catalog.ts";
import { parameterMisfit } from "./parameter-fit.ts";

const pg = (name: string): PgType => {
  const type = POSTGRES_TYPES.find((candidate) => candidate.name === name);
  if (type === undefined) throw new Error(`no type ${name}`);
  return type;
};
const FIELDS: Record<string, AvroType> = {
  long: "long",
  double: "double",
  int: "int",
  float: "float",
  boolean: "boolean",
  "long decimal": { type: "bytes", logicalType: "decimal", precision: 16, scale: 2 },
  "fine decimal": { type: "bytes", logicalType: "decimal", precision: 8, scale: 4 },
  "whole decimal": { type: "bytes", logicalType: "decimal", precision: 8, scale: 0 },
  string: "string",
  decimal: { type: "bytes", logicalType: "decimal", precision: 8, scale: 2 },
  timestamp: { type: "long", logicalType: "timestamp-micros" },
  date: { type: "int", logicalType: "date" },
  time: { type: "long", logicalType: "time-micros" },
  uuid: { type: "string", logicalType: "uuid" },
  bytes: "bytes",
  json: { type: "string", "rejot.json": true },
  longs: { type: "array", items: ["null", "long"] },
  matrix: { type: "array", items: { type: "array", items: "long" } },
  map: { type: "map", values: "long" },
  "nullable long": ["null", "long"],
  "long or string": ["long", "string"],
};
const misfit = (field: string, type: string) =>
  parameterMisfit(FIELDS[field] as AvroType, pg(type))?.severity;

test.each([
  ["long", "integer bigint smallint numeric text jsonb oid"],
  ["nullable long", "bigint text"],
  ["double", "double precision,numeric,text"],
  ["decimal", "numeric,text,jsonb,money,double precision"],
  ["whole decimal", "integer bigint oid numeric money"],
  ["int", "double precision,oid,integer"],
  ["float", "real,double precision"],
  ["boolean", "boolean varchar"],
  ["timestamp", "timestamptz timestamp text"],
  ["date", "date timestamptz timestamp"],
  ["time", "time timetz interval"],
  ["uuid", "uuid text"],
  ["bytes", "bytea text"],
  ["json", "json jsonb text"],
  ["longs", "integer[] jsonb text"],
  ["matrix", "integer[]"],
  ["map", "jsonb"],
  ["string", "text inet interval xml tsvector point an"],
])("%s goes into %s", (field, types) => {
  const names = types.includes(",") ? types.split(",") : types.split(" ");
  for (const name of names.filter((n) => n !== "an"))
    expect([name, misfit(field, name)]).toEqual([name, undefined]);
});

test.each([
  ["long", "double precision"],
  ["double", "real"],
  ["double", "integer"],
  ["double", "oid"],
  ["double", "money"],
  ["int", "real"],
  ["int", "boolean"],
  ["decimal", "real"],
  ["long decimal", "double precision"],
  ["decimal", "integer"],
  ["fine decimal", "money"],
  ["whole decimal", "boolean"],
  ["timestamp", "date"],
  ["json", "integer"],
  ["long or string", "uuid"],
])("some values of %s are refused by %s", (field, type) => {
  expect(misfit(field, type)).toBe("warning");
});

test.each([
  ["long", "timestamptz"],
  ["long", "bytea"],
  ["long", "integer[]"],
  ["decimal", "boolean"],
  ["boolean", "integer"],
  ["timestamp", "bigint"],
  ["timestamp", "time"],
  ["timestamp", "timetz"],
  ["date", "integer"],
  ["uuid", "bigint"],
  ["bytes", "uuid"],
  ["longs", "bigint"],
  ["map", "integer"],
])("%s is refused by %s", (field, type) => {
  expect(misfit(field, type)).toBe("error");
});

test("what only the sink refuses is said to be refused, not changed", () => {
  expect(parameterMisfit(FIELDS.timestamp as AvroType, pg("date"))?.why).toBe(
    "the sink refuses those with a time of day",
  );
  expect(parameterMisfit(FIELDS.double as AvroType, pg("real"))?.why).toBe(
    "the sink refuses numbers that real would round",
  );
  expect(parameterMisfit(FIELDS.decimal as AvroType, pg("integer"))?.why).toBe(
    "integer takes whole numbers, none with a fraction",
  );
});

test("text that a type of its own would say better is mentioned", () => {
  expect(misfit("string", "timestamptz")).toBe("info");
});
