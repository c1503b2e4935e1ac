import type { AvroField, AvroRecord } from "../avro-types.ts";
import { compareValues } from "../evolution/compare-contracts.ts";
import type { Contract } from "../evolution/schema-change.ts";
import { type ConsumerUsage, type FieldUse, isPlace, recordOf } from "./consumer-usage.ts";

/** One placeholder that a change takes the ground from. */
export interface BrokenUse {
  readonly usage: ConsumerUsage;
  readonly use: FieldUse;
  /** What has happened to the field, one sentence. */
  readonly message: string;
  /** A warning where only a part of the field is gone, which the SQL may never look at. */
  readonly severity: "error" | "warning";
}

/**
 * The placeholders of one consumer schema that do not get from `after` what they got before: its field was removed,
 * is of another type, left the key, or is no longer at its place. Judged by the types that the usage was recorded
 * with, so a consumer is broken by what has changed since it was checked, whatever versions lie between.
 * Placeholders for fields that never existed are not meant: they are misspelt.
 */
export function brokenUses(usage: ConsumerUsage, after: Contract): BrokenUse[] {
  return usage.uses.flatMap((use) => {
    const field = usage.fields.find((candidate) => candidate.name === use.field);
    if (field === undefined) return [];
    const found = whatBreaks(use, field, after);
    return found === undefined ? [] : [{ usage, use, ...found }];
  });
}

/** Of several consumer schemas, one after the other. */
export function brokenConsumers(usages: readonly ConsumerUsage[], after: Contract): BrokenUse[] {
  return usages.flatMap((usage) => brokenUses(usage, after));
}

function whatBreaks(
  use: FieldUse,
  field: AvroField,
  after: Contract,
): Pick<BrokenUse, "message" | "severity"> | undefined {
  const record = recordOf(after, use.statement);
  const now = record.fields.find((candidate) => candidate.name === field.name);
  if (now === undefined) {
    const message =
      use.statement === "deleteSql" && after.value.fields.some((other) => other.name === field.name)
        ? `"${field.name}" is no longer part of the key`
        : `"${field.name}" was removed`;
    return { message, severity: "error" };
  }
  if (isPlace(use.placeholder)) {
    const there = record.fields[Number(use.placeholder.slice(1)) - 1]?.name;
    const says = there === undefined ? "nothing" : `"${there}"`;
    if (there !== field.name)
      return { message: `${use.placeholder} was "${field.name}", it is ${says} now`, severity: "error" };
  }
  const changes = compareValues(recordWith(record, field), recordWith(record, now));
  const breaking = changes.find((change) => change.breaks.includes("old-readers"));
  if (breaking !== undefined) return { message: breaking.message, severity: "error" };
  const partRemoved = changes.find((change) => change.kind === "field-removed");
  return partRemoved === undefined ? undefined : { message: partRemoved.message, severity: "warning" };
}

/** Two records that differ in one field only, so that what is said is about that field. */
function recordWith({ type, name, namespace }: AvroRecord, field: AvroField): AvroRecord {
  return { type, name, ...(namespace === undefined ? {} : { namespace }), fields: [field] };
}
