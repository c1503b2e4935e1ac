import type { z } from "zod";
import { RejotError } from "../errors/error.ts";
import {
  type ConsumerSchema,
  consumerSchema,
  type PublicSchema,
  publicSchema,
  type Transformation,
} from "../manifest/schema.ts";
import { describeZodIssues } from "../manifest/zod-issues.ts";
import { recordSchema } from "./created-schemas.ts";
import { type JsonSchema, outputSchemaOf } from "./zod-types.ts";

export { bytes, date, decimal, int64, json, time, timestamp } from "./zod-types.ts";

export type { ConsumerSchema, JsonSchema, PublicSchema, Transformation };

/** What a public schema is made of; see docs/manifest.md for every key. */
export interface PublicSchemaOptions {
  /** Slug of the data store whose changes are published. */
  source: { dataStoreSlug: string };
  /** The published object: a zod object, or JSON Schema. */
  outputSchema: z.ZodType | JsonSchema;
  /** Fields that identify an object. Default: found in the transformations, see docs/manifest.md. */
  key?: string[];
  /**
   * Whether the rows that are already there are published without being asked ("auto", the default), or only by
   * `rejot-kafka backfill start`; and from which tables, where the transformations do not show it.
   */
  backfill?: PublicSchema["backfill"];
  config: PublicSchema["config"];
  /** Consumers refer to the major version; each major has its own topic. */
  version: { major: number; minor: number };
  /** Says that this major version will be removed: whoever reads it is warned. `since` is a day, 2026-11-30. */
  deprecated?: { since?: string; message?: string };
}

/** What a consumer schema is made of. */
export interface ConsumerSchemaOptions {
  /** The public schema it reads. */
  source: { manifestSlug: string; publicSchema: { name: string; majorVersion: number } };
  config: ConsumerSchema["config"];
}

/**
 * Defines what a service publishes. `rejot-kafka collect` finds it, exported or not.
 * Throws SCHEMA_INVALID naming every place that is wrong, or SCHEMA_NOT_MAPPABLE for a zod type without
 * counterpart in Avro.
 */
export function createPublicSchema(name: string, options: PublicSchemaOptions): PublicSchema {
  const { source, outputSchema, key, backfill, config, version, deprecated } = options;
  const candidate = {
    name,
    source,
    outputSchema: isZod(outputSchema) ? outputSchemaOf(outputSchema) : outputSchema,
    version,
    ...(key === undefined ? {} : { key }),
    ...(deprecated === undefined ? {} : { deprecated }),
    ...(backfill === undefined ? {} : { backfill }),
    config,
  };
  const schema = validate(publicSchema, candidate, `public schema "${name}"`);
  if (schema.config.transformations.length === 0) {
    throw new RejotError("TRANSFORMATION_MISSING", { detail: `"${name}"` });
  }
  recordSchema({ kind: "public", schema });
  return schema;
}

/**
 * Defines how a service stores what another publishes. `rejot-kafka collect` finds it, exported or not.
 * Throws SCHEMA_INVALID naming every place that is wrong.
 */
export function createConsumerSchema(name: string, options: ConsumerSchemaOptions): ConsumerSchema {
  const candidate = {
    name,
    sourceManifestSlug: options.source?.manifestSlug,
    publicSchema: options.source?.publicSchema,
    config: options.config,
  };
  const schema = validate(consumerSchema, candidate, `consumer schema "${name}"`);
  recordSchema({ kind: "consumer", schema });
  return schema;
}

/**
 * One SELECT for the operations named, to be spread into a public schema's transformations.
 * `:name` stands for the changed row's column `name`, `$1` for its first column.
 * A delete makes a tombstone for the key it selects; with `emit: "upsert"` the SELECT returns the whole object,
 * which is published anew (the deleted row was only a part of it).
 */
export function createPostgresPublicSchemaTransformations(
  operation: "insertOrUpdate" | Transformation["operation"],
  table: string,
  sql: string,
  options: { emit?: "upsert" | "tombstone" } = {},
): Transformation[] {
  const operations: Transformation["operation"][] =
    operation === "insertOrUpdate" ? ["insert", "update"] : [operation];
  const emit = options.emit === undefined ? {} : { emit: options.emit };
  return operations.map((each) => ({ operation: each, table, sql, ...emit }));
}

/** Collects the transformations of a public schema one after the other. */
export class PostgresPublicSchemaConfigBuilder {
  readonly #transformations: Transformation[] = [];

  /** Adds one transformation, or several as createPostgresPublicSchemaTransformations returns them. */
  addTransformation(transformation: Transformation | readonly Transformation[]): this {
    this.#transformations.push(...[transformation].flat());
    return this;
  }

  /** The `config` of a public schema. */
  build(): PublicSchema["config"] {
    return { publicSchemaType: "postgres", transformations: [...this.#transformations] };
  }
}

/** The `config` of a consumer schema. `options` are its optional keys: deleteSql, deletes, onError. */
export function createPostgresConsumerSchemaConfig(
  destinationDataStoreSlug: string,
  sql: string,
  options: Pick<ConsumerSchema["config"], "deleteSql" | "deletes" | "onError"> = {},
): ConsumerSchema["config"] {
  return { consumerSchemaType: "postgres", destinationDataStoreSlug, sql, ...options };
}

/** Standard Schema's mark, which every version of zod since 3.24 carries. */
function isZod(schema: z.ZodType | JsonSchema): schema is z.ZodType {
  const standard = (schema as { "~standard"?: { vendor?: unknown } })?.["~standard"];
  if (standard?.vendor === "zod" && !("_zod" in schema)) {
    throw new RejotError("SCHEMA_INVALID", {
      detail: "the output schema was made with zod 3",
      hint: 'Install zod 4, or import { z } from "zod/v4" (zod 3.25 has both).',
    });
  }
  return standard?.vendor === "zod";
}

function validate<T>(form: z.ZodType<T>, candidate: unknown, what: string): T {
  const result = form.safeParse(candidate);
  if (result.success) return result.data;
  const issues = describeZodIssues(result.error);
  throw new RejotError("SCHEMA_INVALID", { detail: [what, ...issues].join("\n  - ") });
}
