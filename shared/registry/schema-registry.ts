import type { AvroRecord } from "../contracts/avro-types.ts";
import { RejotError } from "../errors/error.ts";
import { putFreely, removeSubject } from "./free-subjects.ts";
import { listSubjects, type SubjectFilter } from "./list-subjects.ts";
import { parseAvroSchema } from "./named-types.ts";
import {
  createRegistryRequest,
  messageOf,
  type RegistryAnswer,
  type RegistryRequest,
} from "./registry-http.ts";

/** FULL_TRANSITIVE: every schema of a subject can read what every other wrote. NONE: anything may follow anything. */
export type Compatibility = "FULL_TRANSITIVE" | "NONE";

/** A version of a subject. */
export interface RegisteredSchema {
  /** Of the schema, in all subjects: what stands in front of records. */
  readonly id: number;
  /** Counted from one within the subject; not the version of the manifest. */
  readonly version: number;
  /** Named types written out where they are used; attributes kept. */
  readonly schema: AvroRecord;
}

/** What the registry itself says of a schema that is not registered. */
export interface DryRun {
  readonly compatible: boolean;
  /** In the registry's own words; empty when it gives none. */
  readonly reasons: readonly string[];
}

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
  /**
   * Where the very same schema is registered under the subject; undefined when it is not. Nothing is registered.
   * Throws REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  find(subject: string, schema: AvroRecord): Promise<Pick<RegisteredSchema, "id" | "version"> | undefined>;
  /**
   * Everything registered under the subject and not deleted, oldest first; empty when there is no such subject.
   * Throws SCHEMA_NOT_MAPPABLE, REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  versions(subject: string): Promise<RegisteredSchema[]>;
  /** The subjects wanted, sorted. Throws REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable). */
  subjects(filter?: SubjectFilter): Promise<string[]>;
  /**
   * The level that the registry holds a subject to, its own or the registry's; undefined when there is no such
   * subject. Throws REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  compatibilityOf(subject: string): Promise<string | undefined>;
  /** Sets the level unless it is set already. Throws REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable). */
  setCompatibility(subject: string, compatibility: Compatibility): Promise<void>;
  /**
   * Asks the registry whether it would take a schema, at the level the subject has now; nothing is registered.
   * Every registry takes anything for a new subject. Throws REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  dryRun(subject: string, schema: AvroRecord): Promise<DryRun>;
  /**
   * Makes a schema the latest of a subject that no records are written with, whatever stood there before.
   * Throws REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable).
   */
  put(subject: string, schema: AvroRecord): Promise<void>;
  /** Deletes a subject; false when there is none. Throws REGISTRY_REFUSED, REGISTRY_UNREACHABLE (retryable). */
  remove(subject: string): Promise<boolean>;
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
      const body = bodyOf(schema);
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
      if (isMissing(answer)) return undefined;
      const text = field(answer.body, "schema");
      if (answer.status !== 200 || typeof text !== "string") throw refused(answer, subject);
      return parseAvroSchema(text);
    },

    async find(subject, schema) {
      const answer = await request("POST", `/subjects/${encodeURIComponent(subject)}`, bodyOf(schema));
      if (isMissing(answer)) return undefined;
      const [id, version] = [field(answer.body, "id"), field(answer.body, "version")];
      if (answer.status !== 200 || typeof id !== "number" || typeof version !== "number")
        throw refused(answer, subject);
      return { id, version };
    },

    versions: (subject) => fetchVersions(request, subject),

    subjects: (filter) => listSubjects(request, refused, filter),

    compatibilityOf: (subject) => fetchCompatibility(request, subject),

    setCompatibility: (subject, level) => ensureCompatibility(request, subject, level),

    dryRun: (subject, schema) => dryRun(request, subject, bodyOf(schema)),

    put: (subject, schema) => putFreely(request, subject, bodyOf(schema), refused),

    remove: (subject) => removeSubject(request, subject, refused),
  };
}

async function fetchVersions(request: RegistryRequest, subject: string): Promise<RegisteredSchema[]> {
  const path = `/subjects/${encodeURIComponent(subject)}/versions`;
  const list = await request("GET", path);
  if (isMissing(list)) return [];
  if (list.status !== 200 || !Array.isArray(list.body)) throw refused(list, subject);
  const versions: RegisteredSchema[] = [];
  for (const version of list.body.map(Number).sort((a, b) => a - b)) {
    const answer = await request("GET", `${path}/${version}`);
    // Deleted since the list was asked for.
    if (isMissing(answer)) continue;
    const [id, text] = [field(answer.body, "id"), field(answer.body, "schema")];
    if (answer.status !== 200 || typeof id !== "number" || typeof text !== "string")
      throw refused(answer, `version ${version} of ${subject}`);
    versions.push({ id, version, schema: parseVersion(text, `version ${version} of ${subject}`) });
  }
  return versions;
}

function parseVersion(text: string, what: string): AvroRecord {
  try {
    return parseAvroSchema(text);
  } catch (error) {
    if (!(error instanceof RejotError)) throw error;
    throw new RejotError(error.code, { detail: `${what}: ${error.detail}` });
  }
}

async function fetchCompatibility(request: RegistryRequest, subject: string): Promise<string | undefined> {
  // Confluent's says 404 for a subject that has none of its own, unless asked so; Apicurio's gives the global one.
  const answer = await request("GET", `/config/${encodeURIComponent(subject)}?defaultToGlobal=true`);
  if (answer.status === 404) return undefined;
  const level = field(answer.body, "compatibilityLevel");
  if (answer.status !== 200 || typeof level !== "string")
    throw refused(answer, `compatibility of ${subject}`);
  return level;
}

/**
 * Confluent's registry tests against all versions that the level is about in one call; those that do not have the
 * call (Redpanda's, older ones) say 404 or 405 to it and are asked about each version.
 */
async function dryRun(request: RegistryRequest, subject: string, body: object): Promise<DryRun> {
  const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions`;
  const whole = await request("POST", `${path}?verbose=true`, body);
  if (isMissing(whole)) return { compatible: true, reasons: [] };
  if (whole.status !== 404 && whole.status !== 405) return verdictOf(whole, subject);
  const list = await request("GET", `/subjects/${encodeURIComponent(subject)}/versions`);
  if (isMissing(list)) return { compatible: true, reasons: [] };
  if (list.status !== 200 || !Array.isArray(list.body)) throw refused(list, subject);
  const reasons: string[] = [];
  let compatible = true;
  for (const version of list.body) {
    const verdict = verdictOf(await request("POST", `${path}/${version}?verbose=true`, body), subject);
    compatible &&= verdict.compatible;
    reasons.push(...verdict.reasons);
  }
  return { compatible, reasons };
}

/** Confluent's explains itself in `messages`, Apicurio's in `reason`. */
function verdictOf(answer: RegistryAnswer, subject: string): DryRun {
  if (answer.status === 409) return { compatible: false, reasons: [messageOf(answer.body)] };
  const compatible = field(answer.body, "is_compatible");
  if (answer.status !== 200 || typeof compatible !== "boolean") throw refused(answer, subject);
  const [messages, reason] = [field(answer.body, "messages"), field(answer.body, "reason")];
  const reasons = Array.isArray(messages) ? messages.map(String) : typeof reason === "string" ? [reason] : [];
  return { compatible, reasons: compatible ? [] : reasons };
}

/** No such subject, version or schema; a 404 without one of these codes is a wrong address. */
function isMissing({ status, body }: RegistryAnswer): boolean {
  const code = field(body, "error_code");
  return status === 404 && (code === SUBJECT_MISSING || code === VERSION_MISSING || code === SCHEMA_MISSING);
}

function bodyOf(schema: AvroRecord): { schema: string } {
  return { schema: JSON.stringify(schema) };
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
