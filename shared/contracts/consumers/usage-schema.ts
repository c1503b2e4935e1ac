import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { manifestTopicPart, publicSchemaTopic } from "../../kafka/naming.ts";
import { legalName, namespaceOf } from "../avro-names.ts";
import type { AvroRecord } from "../avro-types.ts";
import type { ConsumerUsage } from "./consumer-usage.ts";

/** The attribute that makes an Avro record a published consumer schema. */
const ATTRIBUTE = "rejot";

/** A line of SQL is shown in messages; a whole generated statement on one line need not be. */
const MAX_TEXT = 300;

const published = z.object({
  manifest: z.string(),
  consumerSchema: z.string(),
  group: z.string(),
  topicPrefix: z.string(),
  reads: z.object({ manifestSlug: z.string(), name: z.string(), majorVersion: z.number() }),
  uses: z.array(
    z.object({
      statement: z.enum(["sql", "deleteSql"]),
      placeholder: z.string(),
      field: z.string().optional(),
      line: z.number(),
      column: z.number(),
      text: z.string(),
    }),
  ),
  at: z.string(),
});

/** A consumer schema as the registry has it. */
export interface PublishedUsage {
  readonly usage: ConsumerUsage;
  /** Of the event store that it reads: environments may share a registry. */
  readonly topicPrefix: string;
  /** When it was published, ISO 8601. */
  readonly at: string;
}

/** What every subject of a topic's consumer schemas begins with. */
export function consumerSubjectPrefix(topic: string): string {
  return `${topic}-consumer.`;
}

/** The registry subject of a consumer schema: `<topic>-consumer.<manifest>.<consumer schema>`. */
export function consumerSubject({ usage, topicPrefix }: Omit<PublishedUsage, "at">): string {
  const { manifestSlug, name, majorVersion } = usage.reads;
  const topic = publicSchemaTopic(topicPrefix, manifestSlug, name, majorVersion);
  return `${consumerSubjectPrefix(topic)}${manifestTopicPart(usage.manifestSlug)}.${subjectPart(usage.name)}`;
}

/** A consumer schema may have any name, a subject's characters must pass through addresses unharmed. */
function subjectPart(name: string): string {
  const legal = name.replace(/[^A-Za-z0-9_.-]/g, "_");
  if (legal === name) return name;
  return `${legal}-${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
}

/**
 * A consumer schema's usage as an Avro schema: the record of the public schema with only the fields used, so that it
 * is also a reader's schema, and the attribute `rejot` that says who uses them and where. `at` makes each text
 * unlike any before: a registry gives an old version back for an old text instead of making it the latest again.
 */
export function usageSchemaOf({ usage, topicPrefix, at }: PublishedUsage): AvroRecord {
  const { manifestSlug, name, group, reads, uses, fields } = usage;
  const attribute: z.infer<typeof published> = {
    manifest: manifestSlug,
    consumerSchema: name,
    group,
    topicPrefix,
    reads,
    uses: uses.map(({ statement, placeholder, field, at: { line, column, text } }) => ({
      statement,
      placeholder,
      ...(field === undefined ? {} : { field }),
      line,
      column,
      text: text.slice(0, MAX_TEXT),
    })),
    at,
  };
  return {
    type: "record",
    name: legalName(reads.name),
    namespace: namespaceOf(reads.manifestSlug, reads.majorVersion),
    fields: [...fields],
    [ATTRIBUTE]: attribute,
  } as AvroRecord;
}

/** Reads a schema that `usageSchemaOf` has made; undefined for any other. */
export function publishedUsageOf(schema: AvroRecord): PublishedUsage | undefined {
  const result = published.safeParse((schema as unknown as Record<string, unknown>)[ATTRIBUTE]);
  if (!result.success) return undefined;
  const { manifest, consumerSchema, group, reads, uses, topicPrefix, at } = result.data;
  return {
    usage: {
      manifestSlug: manifest,
      name: consumerSchema,
      group,
      reads,
      uses: uses.map(({ statement, placeholder, field, ...place }) => ({
        statement,
        placeholder,
        field,
        at: place,
      })),
      fields: schema.fields,
    },
    topicPrefix,
    at,
  };
}

/** Whether two say the same, whenever they were published. */
export function isSameUsage(a: PublishedUsage, b: PublishedUsage): boolean {
  const text = (published: PublishedUsage) =>
    JSON.parse(JSON.stringify(usageSchemaOf({ ...published, at: "" })));
  return isDeepStrictEqual(text(a), text(b));
}
