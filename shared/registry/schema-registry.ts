import type { AvroRecord } from "../contracts/avro-types.ts";
import { RejotError } from "../errors/error.ts";

/** FULL_TRANSITIVE: every schema of a subject can read what every other wrote. */
export type Compatibility = "FULL_TRANSITIVE";

/** Where the schemas of keys and values are kept, so that any Kafka client can read the topics. */
export interface SchemaRegistry {
  /**
   * The id of the schema under the subject, registered if it is not there yet; a new subject gets the compatibility.
   * Throws SCHEMA_INCOMPATIBLE, REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  ensure(subject: string, schema: AvroRecord, options: { compatibility: Compatibility }): Promise<number>;
  /**
   * The schema of an id, remembered: named types written out where they are used.
   * Throws SCHEMA_NOT_FOUND, REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  schemaById(id: number): Promise<AvroRecord>;
}

export interface SchemaRegistryOptions {
  url: string;
  auth?: { username: string; password: string };
  /** For one request. Default 10,000. */
  timeoutMs?: number;
}

/** A registry with Confluent's API. */
export function createSchemaRegistry(options: SchemaRegistryOptions): SchemaRegistry {
  throw new RejotError("INTERNAL_ERROR", { detail: options.url });
}
