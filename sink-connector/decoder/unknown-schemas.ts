import { RejotError } from "../../shared/errors/error.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";

/** Nodes of a registry hear of a new schema within a second or so. */
export const UNKNOWN_SCHEMA_MS = 10_000;

/** How many unknown schemas are kept in mind; whoever writes nonsense may write many. */
const MAX_KNOWN = 10_000;

/**
 * Decides what an id that the registry does not have means: a record that nobody of ours wrote, or a registry that does
 * not know yet, or not any more, what it should.
 */
export class UnknownSchemas {
  readonly #registry: Pick<SchemaRegistry, "latest">;
  readonly #patienceMs: number;
  readonly #now: () => number;
  readonly #sinceMs = new Map<string, number>();

  constructor(
    registry: Pick<SchemaRegistry, "latest">,
    patienceMs: number,
    now: () => number = () => performance.now(),
  ) {
    this.#registry = registry;
    this.#patienceMs = patienceMs;
    this.#now = now;
  }

  /**
   * Whether the record is to blame: the registry has had schemas of the topic's own subject, and not this one, each
   * time it was asked for `patienceMs`. One without that subject was emptied, or is another: then no record is.
   * Throws REGISTRY_*.
   */
  async isForeign(subject: string, schemaId: number): Promise<boolean> {
    const name = `${schemaId} ${subject}`;
    if (!(await this.#hasSubject(subject))) {
      this.#sinceMs.delete(name);
      return false;
    }
    const nowMs = this.#now();
    const sinceMs = this.#sinceMs.get(name) ?? nowMs;
    this.#sinceMs.set(name, sinceMs);
    const [oldest] = this.#sinceMs.keys();
    if (oldest !== undefined && this.#sinceMs.size > MAX_KNOWN) this.#sinceMs.delete(oldest);
    return nowMs - sinceMs >= this.#patienceMs;
  }

  async #hasSubject(subject: string): Promise<boolean> {
    try {
      return (await this.#registry.latest(subject)) !== undefined;
    } catch (error) {
      if (error instanceof RejotError && error.code === "SCHEMA_NOT_MAPPABLE") return true;
      throw error;
    }
  }
}
