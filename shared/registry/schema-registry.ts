import type { AvroRecord } from "../contracts/avro-types.ts";
import { RejotError } from "../errors/error.ts";
import { parseAvroSchema } from "./named-types.ts";
import {
  createRegistryRequest,
  messageOf,
  type RegistryAnswer,
  type RegistryRequest,
} from "./registry-http.ts";

/** FULL_TRANSITIVE: every schema of a subject can read what every other wrote. */
export type Compatibility = "FULL_TRANSITIVE";

/** Where the schemas of keys and values are kept, so that any Kafka client can read the topics. */
export interface SchemaRegistry {
  /**
   * The id of the schema under the subject, registered if it is not there yet; the subject gets the compatibility.
   * Throws SCHEMA_INCOMPATIBLE, REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  ensure(subject: string, schema: AvroRecord, options: { compatibility: Compatibility }): Promise<number>;
  /**
   * The schema of an id, remembered: named types written out where they are used.
   * Throws SCHEMA_NOT_FOUND, SCHEMA_NOT_MAPPABLE, REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  schemaById(id: number): Promise<AvroRecord>;
  /**
   * The latest schema of a subject, asked anew each time; undefined when there is no such subject.
   * Throws SCHEMA_NOT_MAPPABLE, REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  latest(subject: string): Promise<AvroRecord | undefined>;
}

export interface SchemaRegistryOptions {
  /** Of Confluent's API; for Apicurio its server's address is enough. */
  url: string;
  /** HTTP basic authentication. */
  auth?: { username: string; password: string };
  /** For one request, answer included. Default 10,000. */
  timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const SUBJECT_MISSING = 40401;
const VERSION_MISSING = 40402;
const SCHEMA_MISSING = 40403;

/** A registry with Confluent's API. Nothing is sent before the first call. Throws REGISTRY_REFUSED when `url` is none. */
export function createSchemaRegistry(options: SchemaRegistryOptions): SchemaRegistry {
  const request = createRegistryRequest({ timeoutMs: DEFAULT_TIMEOUT_MS, ...options });
  const schemas = new Map<number, Promise<AvroRecord>>();

  return {
    async ensure(subject, schema, { compatibility }) {
      const path = `/subjects/${encodeURIComponent(subject)}`;
      // Before registering: otherwise a first incompatible version could slip in between.
      await ensureCompatibility(request, subject, compatibility);
      const body = { schema: JSON.stringify(schema) };
      const existing = await request("POST", path, body);
      if (existing.status === 200) return idOf(existing, subject);
      const registered = await request("POST", `${path}/versions`, body);
      if (registered.status !== 409) return idOf(registered, subject);
      // Apicurio says 409 also when another process has just registered the same schema.
      const again = await request("POST", path, body);
      return idOf(again.status === 200 ? again : registered, subject);
    },

    schemaById(id) {
      let schema = schemas.get(id);
      if (schema === undefined) {
        schema = fetchSchema(request, id);
        schemas.set(id, schema);
        schema.catch(() => schemas.delete(id));
      }
      return schema;
    },

    async latest(subject) {
      const answer = await request("GET", `/subjects/${encodeURIComponent(subject)}/versions/latest`);
      const code = field(answer.body, "error_code");
      if (answer.status === 404 && (code === SUBJECT_MISSING || code === VERSION_MISSING)) return undefined;
      const text = field(answer.body, "schema");
      if (answer.status !== 200 || typeof text !== "string") throw refused(answer, subject);
      return parseAvroSchema(text);
    },
  };
}

async function ensureCompatibility(
  request: RegistryRequest,
  subject: string,
  level: Compatibility,
): Promise<void> {
  const path = `/config/${encodeURIComponent(subject)}`;
  const isSet = async (): Promise<boolean> => {
    const current = await request("GET", path);
    return current.status === 200 && field(current.body, "compatibilityLevel") === level;
  };
  if (await isSet()) return;
  const answer = await request("PUT", path, { compatibility: level });
  // Apicurio refuses with 409 when another process has just set it.
  if (answer.status !== 200 && !(await isSet())) throw refused(answer, `compatibility of ${subject}`);
}

async function fetchSchema(request: RegistryRequest, id: number): Promise<AvroRecord> {
  const answer = await request("GET", `/schemas/ids/${id}`);
  // A 404 of another code is a wrong address, not a missing schema.
  if (answer.status === 404 && field(answer.body, "error_code") === SCHEMA_MISSING) {
    throw new RejotError("SCHEMA_NOT_FOUND", {
      detail: `id ${id}: ${messageOf(answer.body)}`,
      context: { id },
    });
  }
  const text = field(answer.body, "schema");
  if (answer.status !== 200 || typeof text !== "string") throw refused(answer, `schema ${id}`);
  return parseAvroSchema(text);
}

function idOf(answer: RegistryAnswer, subject: string): number {
  if (answer.status === 409) {
    throw new RejotError("SCHEMA_INCOMPATIBLE", {
      detail: `${subject}: ${messageOf(answer.body)}`,
      context: { subject },
    });
  }
  const id = field(answer.body, "id");
  if (answer.status !== 200 || typeof id !== "number") throw refused(answer, subject);
  return id;
}

function field(body: unknown, name: string): unknown {
  return typeof body === "object" && body !== null ? (body as Record<string, unknown>)[name] : undefined;
}

function refused(answer: RegistryAnswer, what: string): RejotError {
  return new RejotError("REGISTRY_REFUSED", {
    detail: `${what}: status ${answer.status}, ${messageOf(answer.body)}`,
  });
}
