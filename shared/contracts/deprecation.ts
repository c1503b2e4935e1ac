import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { RejotError } from "../errors/error.ts";
import type { ConsumerSchema, PublicSchema } from "../manifest/schema.ts";
import type { AvroRecord } from "./avro-types.ts";

/** What a public schema says of its end. */
export type Deprecation = NonNullable<PublicSchema["deprecated"]>;

/** On the record of a value. Readers that do not know it ignore it; no record is written with it. */
const ATTRIBUTE = "rejot.deprecated";

const attribute = z.object({
  /** False: it is no longer deprecated. */
  is: z.boolean(),
  since: z.string().optional(),
  message: z.string().optional(),
});

/** Whether the latest schema of a value says that its major version is deprecated. */
export function deprecationOf(value: AvroRecord): Deprecation | undefined {
  const result = attribute.safeParse((value as unknown as Record<string, unknown>)[ATTRIBUTE]);
  if (!result.success || !result.data.is) return undefined;
  const { since, message } = result.data;
  return { ...(since === undefined ? {} : { since }), ...(message === undefined ? {} : { message }) };
}

/**
 * The schema of a value that says so, or says that it no longer is. `at` makes the text unlike any before: a registry
 * gives an old version back for an old text instead of making it the latest again.
 */
export function withDeprecation(
  value: AvroRecord,
  deprecated: Deprecation | undefined,
  at: Date,
): AvroRecord {
  const says = deprecated === undefined ? { is: false } : { is: true, ...deprecated };
  return { ...value, [ATTRIBUTE]: { ...says, at: at.toISOString() } } as AvroRecord;
}

/** Whether both say the same. */
export function isSameDeprecation(a: Deprecation | undefined, b: Deprecation | undefined): boolean {
  return isDeepStrictEqual(a === undefined ? a : { ...a }, b === undefined ? b : { ...b });
}

/** SCHEMA_DEPRECATED in words, for the consumer schema named. */
export function deprecationNotice(
  deprecated: Deprecation,
  { sourceManifestSlug, publicSchema }: ConsumerSchema,
  consumer: string,
): RejotError {
  const read = `${sourceManifestSlug}/${publicSchema.name} v${publicSchema.majorVersion}`;
  return new RejotError("SCHEMA_DEPRECATED", {
    detail: `${consumer} reads ${read}, deprecated${describeDeprecation(deprecated)}`,
  });
}

/** In words: ` since 2026-11-01: use v2`. Empty when nothing more is known. */
export function describeDeprecation({ since, message }: Deprecation): string {
  const parts = [since === undefined ? "" : ` since ${since}`, message === undefined ? "" : `: ${message}`];
  return parts.join("");
}
