import avsc from "avsc";
import { beforeAll, describe, expect, inject, test } from "vitest";
import type { AvroField, AvroRecord, AvroType } from "../../shared/contracts/avro-types.ts";
import { compareContracts, compareValues } from "../../shared/contracts/evolution/compare-contracts.ts";
import type { Contract, SchemaChange } from "../../shared/contracts/evolution/schema-change.ts";
import { conflictsWith } from "../../shared/contracts/evolution/verdict.ts";
import { createSchemaRegistry, type SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { randomName } from "../support/names.ts";
import { type Expected, SCHEMA_CHAINS, SCHEMA_CHANGES } from "../support/schema-change-table.ts";

const PARTS = ["key", "value"] as const;
let registry: SchemaRegistry;

beforeAll(() => {
  registry = createSchemaRegistry({ url: inject("stack").registryUrl });
});

/** Registers versions of a new subject for the key and one for the value. */
async function registered(...versions: readonly Contract[]): Promise<(part: "key" | "value") => string> {
  const name = randomName("matrix");
  for (const version of versions) {
    for (const part of PARTS) {
      await registry.ensure(`${name}-${part}`, version[part], { compatibility: "FULL_TRANSITIVE" });
    }
  }
  return (part) => `${name}-${part}`;
}

/** Whether the registry would take both schemas. */
async function registryTakes(subjectOf: (part: "key" | "value") => string, next: Contract): Promise<boolean> {
  const answers = await Promise.all(PARTS.map((part) => registry.dryRun(subjectOf(part), next[part])));
  return answers.every(({ compatible }) => compatible);
}

/** The rules as another implementation of Avro has them. */
function avscReads(reader: AvroRecord, writer: AvroRecord): boolean {
  const type = (schema: AvroRecord) => avsc.Type.forSchema(schema as unknown as avsc.Schema);
  try {
    type(reader).createResolver(type(writer));
    return true;
  } catch {
    return false;
  }
}

function verdictOf(changes: readonly SchemaChange[]): Expected {
  const breaking = changes.filter(({ breaks }) => breaks.length > 0);
  if (breaking.length === 0) return changes.some(({ bump }) => bump === "minor") ? "minor" : "none";
  const broken = new Set(breaking.flatMap(({ breaks }) => breaks));
  const who = broken.size === 2 ? "both" : broken.has("old-readers") ? "old" : "new";
  return breaking.every(({ beyondAvro }) => beyondAvro !== undefined) ? `stricter ${who}` : who;
}

const CASES = SCHEMA_CHANGES.flatMap(({ title, cases }) => cases.map((each) => ({ title, ...each })));

test("there are at least 60 changes, legal and illegal", () => {
  expect(CASES.length).toBeGreaterThanOrEqual(60);
  expect(new Set(CASES.map(({ title, change }) => `${title}: ${change}`)).size).toBe(CASES.length);
});

describe("a change has the same verdict here, in avsc and in the registry", () => {
  test.each(CASES)("$title: $change: $expected", async ({ before, after, expected }) => {
    const changes = compareContracts(before, after);
    expect(verdictOf(changes)).toBe(expected);

    const byAvro = changes.filter((change) => change.part === "value" && change.beyondAvro === undefined);
    const breaks = new Set(byAvro.flatMap((change) => change.breaks));
    expect(avscReads(before.value, after.value)).toBe(!breaks.has("old-readers"));
    expect(avscReads(after.value, before.value)).toBe(!breaks.has("new-readers"));

    const passes = !["old", "new", "both"].includes(expected);
    expect(await registryTakes(await registered(before), after)).toBe(passes);
  });
});

/** A record of one field, for what zod's types do not lead to. */
const recordOf = (type: AvroType, more: object = {}): AvroRecord => ({
  type: "record",
  name: "thing",
  fields: [{ name: "x", type, ...more } as AvroField],
});
const choice = (symbols: string[], more: object = {}): AvroType => ({
  type: "enum",
  name: "e",
  symbols,
  ...more,
});
const fixed = (name: string, size: number): AvroType => ({ type: "fixed", name, size });
const inner = (name: string, more: object = {}): AvroType =>
  ({ type: "record", name, fields: [{ name: "y", type: "long" }], ...more }) as AvroType;

describe("Avro that others wrote follows the same rules", () => {
  test.each<[string, AvroRecord, AvroRecord, Expected]>([
    ["a promotion", recordOf("int"), recordOf("long"), "old"],
    ["a promotion over two steps", recordOf("int"), recordOf("double"), "old"],
    ["fixed of another size", recordOf(fixed("f", 4)), recordOf(fixed("f", 8)), "both"],
    ["fixed of another name", recordOf(fixed("f", 4)), recordOf(fixed("g", 4)), "both"],
    ["a record of another name", recordOf(inner("a")), recordOf(inner("b")), "both"],
    [
      "a record of another name with an alias",
      recordOf(inner("a")),
      recordOf(inner("b", { aliases: ["a"] })),
      "old",
    ],
    [
      "a field renamed with an alias",
      recordOf("long", { default: 0 }),
      { ...recordOf("long"), fields: [{ name: "z", type: "long", aliases: ["x"] } as AvroField] },
      "minor",
    ],
    [
      "an enum that reads what it does not know gets a value",
      recordOf(choice(["a"], { default: "a" })),
      recordOf(choice(["a", "b"], { default: "a" })),
      "minor",
    ],
    [
      "an enum gets a value and a default for others at once",
      recordOf(choice(["a"])),
      recordOf(choice(["a", "b"], { default: "a" })),
      "old",
    ],
  ])("%s", async (_name, before, after, expected) => {
    const changes = compareValues(before, after);
    expect(verdictOf(changes)).toBe(expected);
    const subject = randomName("matrix");
    await registry.ensure(subject, before, { compatibility: "FULL_TRANSITIVE" });
    expect((await registry.dryRun(subject, after)).compatible).toBe(expected === "minor");
  });
});

describe("changes that pass one by one do not pass together", () => {
  test.each(SCHEMA_CHAINS)("$change: $expected", async ({ versions: [a, b, c], expected }) => {
    expect(conflictsWith([{ origin: "a", contract: a }], b)).toEqual([]);
    expect(conflictsWith([{ origin: "b", contract: b }], c)).toEqual([]);
    const earlier = [
      { origin: "a", contract: a },
      { origin: "b", contract: b },
    ];
    const conflicts = conflictsWith(earlier, c);
    expect(conflicts.map(({ origins }) => origins)).toEqual(conflicts.map(() => ["a"]));
    expect(verdictOf(conflicts.map(({ change }) => change))).toBe(expected);

    expect(await registryTakes(await registered(b), c)).toBe(true);
    expect(await registryTakes(await registered(a, b), c)).toBe(false);
  });
});
