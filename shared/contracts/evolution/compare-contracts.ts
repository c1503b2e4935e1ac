import { isDeepStrictEqual } from "node:util";
import type { AvroRecord } from "../avro-types.ts";
import { canRead } from "./avro-resolution.ts";
import { compareValueTypes, makeChange } from "./compare-types.ts";
import { describeType, type ResolvedField, resolveRecord } from "./resolved-type.ts";
import type { Contract, SchemaChange } from "./schema-change.ts";

/**
 * What changed between two versions of a public schema, the key first, fields in the order of the schemas. The
 * verdict of each change is that of Avro's resolution rules in both directions, except where `beyondAvro` says why
 * it is stricter. Equal contracts give no changes.
 */
export function compareContracts(before: Contract, after: Contract): SchemaChange[] {
  return [...compareKeys(before.key, after.key), ...compareValues(before.value, after.value)];
}

/** What changed in the value. */
export function compareValues(before: AvroRecord, after: AvroRecord): SchemaChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  return compareValueTypes(resolveRecord(before), resolveRecord(after));
}

const OTHER_BYTES =
  "the same object gets another key, so its events go to another partition and no longer replace those published before";
const BYTES_MATTER =
  "Avro can read both keys, but they are not the same bytes (the schema's id is among them)";

/**
 * What changed in the key. Any change breaks: the bytes of the key, the id of its schema included, choose the
 * partition and what compaction takes for the same object.
 */
export function compareKeys(before: AvroRecord, after: AvroRecord): SchemaChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  const [old, now] = [resolveRecord(before), resolveRecord(after)];
  const readable = canRead(old, now) && canRead(now, old);
  const change = (path: string, what: string): SchemaChange =>
    makeChange({
      part: "key",
      path,
      kind: "key-changed",
      what,
      why: OTHER_BYTES,
      breaks: ["old-readers", "new-readers"],
      ...(readable ? { beyondAvro: BYTES_MATTER } : {}),
    });
  const names = (fields: readonly ResolvedField[]) => fields.map((field) => field.name);
  const list = (fields: readonly ResolvedField[]) => `(${names(fields).join(", ")})`;
  if (names(old.fields).join() !== names(now.fields).join()) {
    return [change("", `the key is ${list(now.fields)} now, it was ${list(old.fields)}`)];
  }
  const retyped = old.fields.flatMap((field, i) => {
    const other = now.fields[i] ?? field;
    if (isDeepStrictEqual(field.type, other.type)) return [];
    const [from, to] = [describeType(field.type), describeType(other.type)];
    const what = from === to ? `is another ${to} now` : `is ${to} now, it was ${from}`;
    return [change(field.name, `"${field.name}" of the key ${what}`)];
  });
  return retyped.length > 0 ? retyped : [change("", "the schema of the key is written differently")];
}
