import { isDeepStrictEqual } from "node:util";
import { canRead, isNamedAs, writtenField } from "./avro-resolution.ts";
import {
  describeType,
  isNull,
  type Meaning,
  type ResolvedEnum,
  type ResolvedField,
  type ResolvedFixed,
  type ResolvedRecord,
  type ResolvedType,
} from "./resolved-type.ts";
import type { Broken, ChangeKind, SchemaChange } from "./schema-change.ts";

/** Readers need not care, so the version need not say it. */
const WITHOUT_BUMP: readonly ChangeKind[] = ["doc-changed", "fields-reordered", "optional-changed"];

interface Draft {
  part?: "key" | "value";
  path: string;
  kind: ChangeKind;
  what: string;
  /** Why it breaks; said only when it does. */
  why?: string;
  breaks?: readonly Broken[];
  beyondAvro?: string;
}

/** Completes a change: its sentence, and what it needs. */
export function makeChange({
  part = "value",
  path,
  kind,
  what,
  why,
  breaks = [],
  beyondAvro,
}: Draft): SchemaChange {
  const message = breaks.length > 0 && why !== undefined ? `${what}: ${why}` : what;
  const bump = breaks.length > 0 ? "major" : WITHOUT_BUMP.includes(kind) ? "none" : "minor";
  const beyond = beyondAvro === undefined || breaks.length === 0 ? {} : { beyondAvro };
  return { part, path, kind, message, breaks, bump, ...beyond };
}

/** What changed between two records of values. */
export function compareValueTypes(before: ResolvedRecord, after: ResolvedRecord): SchemaChange[] {
  return compareRecords(before, after, "");
}

function compareTypes(before: ResolvedType, after: ResolvedType, path: string): SchemaChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (before.kind === "union" || after.kind === "union") return compareUnions(before, after, path);
  if (before.kind === "record" && after.kind === "record") return compareRecords(before, after, path);
  if (before.kind === "enum" && after.kind === "enum") return compareEnums(before, after, path);
  if (before.kind === "fixed" && after.kind === "fixed") return compareFixed(before, after, path);
  if (before.kind === "array" && after.kind === "array")
    return compareTypes(before.items, after.items, `${path}[]`);
  if (before.kind === "map" && after.kind === "map")
    return compareTypes(before.values, after.values, `${path}{}`);
  if (before.kind === "primitive" && after.kind === "primitive" && before.primitive === after.primitive)
    return compareMeaning(before.meaning, after.meaning, [before, after], path);
  return retyped(before, after, path);
}

function retyped(before: ResolvedType, after: ResolvedType, path: string): SchemaChange[] {
  const breaks = brokenBy(before, after);
  const what = `${named(path)} is ${describeType(after)} now, it was ${describeType(before)}`;
  if (breaks.length > 0) {
    const change = makeChange({ path, kind: "type-changed", what, why: cannotRead(breaks), breaks });
    return [change, ...misread(before, after, path, breaks)];
  }
  return [
    makeChange({
      path,
      kind: "type-changed",
      what,
      why: "text and bytes are not the same to a consumer's SQL",
      breaks: ["old-readers", "new-readers"],
      beyondAvro: "Avro reads text and bytes for each other, but a consumer's SQL gets another value",
    }),
  ];
}

/** A number that is promoted, a date to a timestamp, is read and means something else. */
function misread(
  before: ResolvedType,
  after: ResolvedType,
  path: string,
  cannot: readonly Broken[],
): SchemaChange[] {
  if (before.kind !== "primitive" || after.kind !== "primitive") return [];
  if (cannot.length === 2 || before.meaning.logical === after.meaning.logical) return [];
  const breaks = (["old-readers", "new-readers"] as const).filter((reader) => !cannot.includes(reader));
  return [meaningChanged([before, after], path, breaks)];
}

/** Who cannot read the other's bytes. */
function brokenBy(before: ResolvedType, after: ResolvedType): Broken[] {
  return [
    ...(canRead(before, after) ? [] : (["old-readers"] as const)),
    ...(canRead(after, before) ? [] : (["new-readers"] as const)),
  ];
}

function cannotRead(breaks: readonly Broken[]): string {
  if (breaks.length === 2) return "neither old nor new consumers can read the other's events";
  return breaks[0] === "old-readers"
    ? "consumers with the old schema cannot read new events"
    : "consumers with the new schema cannot read the events published before";
}

function meaningChanged(
  [before, after]: readonly [ResolvedType, ResolvedType],
  path: string,
  breaks: readonly Broken[],
): SchemaChange {
  return makeChange({
    path,
    kind: "meaning-changed",
    what: `${named(path)} is ${describeType(after)} now, it was ${describeType(before)}`,
    why: "the bytes can be read, but mean something else to whoever knows the other schema",
    breaks,
    beyondAvro: MEANING,
  });
}

const MEANING =
  "Avro reads the bytes all the same, but a consumer's SQL gets another value or one it does not expect";

function compareMeaning(
  before: Meaning,
  after: Meaning,
  types: readonly [ResolvedType, ResolvedType],
  path: string,
): SchemaChange[] {
  if (before.logical !== after.logical) return [meaningChanged(types, path, ["old-readers", "new-readers"])];
  if (isDeepStrictEqual(before.values, after.values)) return [];
  return compareLists({ before: before.values, after: after.values, path, beyondAvro: MEANING });
}

function compareEnums(before: ResolvedEnum, after: ResolvedEnum, path: string): SchemaChange[] {
  const changes = compareNames(before, after, path);
  changes.push(
    ...compareLists({
      before: before.symbols,
      after: after.symbols,
      path,
      oldKnowOthers: before.defaultSymbol !== undefined,
      newKnowOthers: after.defaultSymbol !== undefined,
    }),
  );
  if (before.defaultSymbol !== after.defaultSymbol) {
    const says = after.defaultSymbol === undefined ? "no longer read" : `read as "${after.defaultSymbol}"`;
    const what = `values of ${named(path)} that a consumer does not know are ${says}`;
    changes.push(makeChange({ path, kind: "enum-default-changed", what }));
  }
  return changes;
}

interface ListsOfValues {
  /** Undefined: any value of the type. */
  before: readonly unknown[] | undefined;
  after: readonly unknown[] | undefined;
  path: string;
  /** Whether readers take a value that is not listed for a default. */
  oldKnowOthers?: boolean;
  newKnowOthers?: boolean;
  beyondAvro?: string;
}

function compareLists(lists: ListsOfValues): SchemaChange[] {
  const { before, after, path, beyondAvro } = lists;
  const says = (values: readonly unknown[]) => values.map((value) => JSON.stringify(value)).join(", ");
  const extra = beyondAvro === undefined ? {} : { beyondAvro };
  const added = before === undefined ? [] : after?.filter((value) => !before.includes(value));
  const removed = after === undefined ? [] : before?.filter((value) => !after.includes(value));
  const changes: SchemaChange[] = [];
  if (added === undefined || added.length > 0) {
    const what = added === undefined ? "may have any value now" : `may be ${says(added)} now`;
    const breaks = lists.oldKnowOthers === true ? [] : (["old-readers"] as const);
    const why = "consumers with the old schema do not know that value";
    changes.push(
      makeChange({ path, kind: "enum-value-added", what: `${named(path)} ${what}`, why, breaks, ...extra }),
    );
  }
  if (removed === undefined || removed.length > 0) {
    const what =
      removed === undefined ? `may only be ${says(after ?? [])} now` : `is no longer ${says(removed)}`;
    const breaks = lists.newKnowOthers === true ? [] : (["new-readers"] as const);
    const why = "consumers with the new schema do not know values of events published before";
    changes.push(
      makeChange({ path, kind: "enum-value-removed", what: `${named(path)} ${what}`, why, breaks, ...extra }),
    );
  }
  return changes;
}

function compareFixed(before: ResolvedFixed, after: ResolvedFixed, path: string): SchemaChange[] {
  const changes = compareNames(before, after, path);
  if (before.size !== after.size) {
    const what = `${named(path)} has ${after.size} bytes now, it had ${before.size}`;
    const breaks = ["old-readers", "new-readers"] as const;
    changes.push(makeChange({ path, kind: "type-changed", what, why: cannotRead(breaks), breaks }));
  }
  return [...changes, ...compareMeaning(before.meaning, after.meaning, [before, after], path)];
}

/** Avro takes types of other names for other types. */
function compareNames(
  before: ResolvedRecord | ResolvedEnum | ResolvedFixed,
  after: ResolvedRecord | ResolvedEnum | ResolvedFixed,
  path: string,
): SchemaChange[] {
  const breaks: Broken[] = [];
  if (!isNamedAs(before, after)) breaks.push("old-readers");
  if (!isNamedAs(after, before)) breaks.push("new-readers");
  if (breaks.length === 0) return [];
  const what = `the type of ${named(path)} is named ${after.name} now, it was ${before.name}`;
  return [makeChange({ path, kind: "name-changed", what, why: cannotRead(breaks), breaks })];
}

function compareRecords(before: ResolvedRecord, after: ResolvedRecord, path: string): SchemaChange[] {
  const changes = compareNames(before, after, path);
  if (before.doc !== after.doc)
    changes.push(makeChange({ path, kind: "doc-changed", what: `${named(path)} is described differently` }));
  const isRenamed = (field: ResolvedField) =>
    after.fields.some((other) => renamedFrom(other, before, after) === field);
  for (const field of before.fields) {
    const now = after.fields.find((other) => other.name === field.name);
    const at = inside(path, field.name);
    if (now !== undefined) changes.push(...compareFields(field, now, at));
    else if (!isRenamed(field)) changes.push(fieldRemoved(field, at));
  }
  for (const field of after.fields) {
    if (before.fields.some((other) => other.name === field.name)) continue;
    const old = renamedFrom(field, before, after);
    const at = inside(path, field.name);
    changes.push(old === undefined ? fieldAdded(field, at) : fieldRenamed(old, field, at));
  }
  return [...changes, ...reordered(before, after, path)];
}

/** The field that an alias of `field` says it was, if that name is gone. */
function renamedFrom(
  field: ResolvedField,
  before: ResolvedRecord,
  after: ResolvedRecord,
): ResolvedField | undefined {
  const old = writtenField(field, before);
  return old === undefined || after.fields.some((other) => other.name === old.name) ? undefined : old;
}

function compareFields(before: ResolvedField, after: ResolvedField, path: string): SchemaChange[] {
  const changes = compareTypes(before.type, after.type, path);
  if (before.hasDefault !== after.hasDefault || !isDeepStrictEqual(before.defaultValue, after.defaultValue)) {
    const says = (field: ResolvedField) => (field.hasDefault ? JSON.stringify(field.defaultValue) : "none");
    // Of a field that became nullable or required, that change has said it.
    const implied = changes.some(({ kind, path: at }) => at === path && /nullable/.test(kind));
    const what = `the default of ${named(path)} is ${says(after)} now, it was ${says(before)}`;
    if (!implied) changes.push(makeChange({ path, kind: "default-changed", what }));
  }
  if (before.optional !== after.optional) {
    const what = `the SELECT ${after.optional ? "may now leave out" : "must now give"} ${named(path)}`;
    changes.push(makeChange({ path, kind: "optional-changed", what }));
  }
  if (before.doc !== after.doc)
    changes.push(makeChange({ path, kind: "doc-changed", what: `${named(path)} is described differently` }));
  return changes;
}

function fieldRemoved(field: ResolvedField, path: string): SchemaChange {
  return field.hasDefault
    ? makeChange({
        path,
        kind: "field-removed",
        what: `${named(path)} was removed; consumers with the old schema read its default, ${JSON.stringify(field.defaultValue)}`,
      })
    : makeChange({
        path,
        kind: "field-removed",
        what: `${named(path)} was removed and has no default`,
        why: "consumers with the old schema find no value for it in new events",
        breaks: ["old-readers"],
      });
}

function fieldAdded(field: ResolvedField, path: string): SchemaChange {
  return field.hasDefault
    ? makeChange({
        path,
        kind: "field-added",
        what: `${named(path)} was added with the default ${JSON.stringify(field.defaultValue)}`,
      })
    : makeChange({
        path,
        kind: "field-added",
        what: `${named(path)} was added without a default`,
        why: "consumers with the new schema find no value for it in the events published before",
        breaks: ["new-readers"],
      });
}

function fieldRenamed(before: ResolvedField, after: ResolvedField, path: string): SchemaChange {
  const breaks: Broken[] = [];
  if (!before.hasDefault) breaks.push("old-readers");
  if (!canRead(after.type, before.type)) breaks.push("new-readers");
  const what = `${named(path)} was "${before.name}", which is its alias now`;
  return makeChange({ path, kind: "field-renamed", what, why: cannotRead(breaks), breaks });
}

function reordered(before: ResolvedRecord, after: ResolvedRecord, path: string): SchemaChange[] {
  const common = (one: ResolvedRecord, other: ResolvedRecord) =>
    one.fields.map((field) => field.name).filter((name) => other.fields.some((field) => field.name === name));
  if (common(before, after).join() === common(after, before).join()) return [];
  const what =
    path === "" ? "the fields are in another order" : `the fields of ${named(path)} are in another order`;
  return [makeChange({ path, kind: "fields-reordered", what })];
}

function compareUnions(before: ResolvedType, after: ResolvedType, path: string): SchemaChange[] {
  const [old, now] = [split(before), split(after)];
  const changes: SchemaChange[] = [];
  if (!old.nullable && now.nullable) {
    const why = "consumers with the old schema cannot read a null";
    const what = `${named(path)} may be null now`;
    changes.push(makeChange({ path, kind: "nullable", what, why, breaks: ["old-readers"] }));
  }
  if (old.nullable && !now.nullable) {
    const why = "consumers with the new schema cannot read the nulls published before";
    const what = `${named(path)} may no longer be null`;
    changes.push(makeChange({ path, kind: "not-nullable", what, why, breaks: ["new-readers"] }));
  }
  const [only, onlyNow] = [old.branches[0], now.branches[0]];
  const single = old.branches.length === 1 && now.branches.length === 1;
  if (single && only !== undefined && onlyNow !== undefined)
    return [...changes, ...compareTypes(only, onlyNow, path)];
  return [...changes, ...compareAlternatives([before, old.branches], [after, now.branches], path)];
}

function split(type: ResolvedType): { nullable: boolean; branches: readonly ResolvedType[] } {
  const all = type.kind === "union" ? type.branches : [type];
  const branches = all.filter((branch) => !isNull(branch));
  return { nullable: branches.length < all.length, branches };
}

type Alternatives = readonly [whole: ResolvedType, branches: readonly ResolvedType[]];

function compareAlternatives(before: Alternatives, after: Alternatives, path: string): SchemaChange[] {
  const changes: SchemaChange[] = [];
  const paired = new Set<ResolvedType>();
  for (const branch of before[1]) {
    const other = after[1].find((candidate) => isSameBranch(branch, candidate));
    if (other !== undefined) {
      paired.add(other);
      changes.push(...compareTypes(branch, other, path));
      continue;
    }
    const breaks = canRead(after[0], branch) ? [] : (["new-readers"] as const);
    const what = `${named(path)} is no longer ${describeBranch(branch)}`;
    changes.push(makeChange({ path, kind: "alternative-removed", what, why: cannotRead(breaks), breaks }));
  }
  for (const branch of after[1].filter((candidate) => !paired.has(candidate))) {
    const breaks = canRead(before[0], branch) ? [] : (["old-readers"] as const);
    const what = `${named(path)} may be ${describeBranch(branch)} now`;
    changes.push(makeChange({ path, kind: "alternative-added", what, why: cannotRead(breaks), breaks }));
  }
  return changes;
}

/** Branches of a union that stand for each other: of one name, or of one kind where a union has it only once. */
function isSameBranch(before: ResolvedType, after: ResolvedType): boolean {
  if (before.kind === "primitive") return after.kind === "primitive" && before.primitive === after.primitive;
  if ("name" in before)
    return (
      after.kind === before.kind && "name" in after && (isNamedAs(after, before) || isNamedAs(before, after))
    );
  return before.kind === after.kind;
}

function describeBranch(type: ResolvedType): string {
  return type.kind === "record" ? `the object ${type.name}` : describeType(type);
}

function named(path: string): string {
  return path === "" ? "the record" : `"${path}"`;
}

function inside(path: string, field: string): string {
  return path === "" ? field : `${path}.${field}`;
}
