import { createHash } from "node:crypto";
import { RejotError } from "../errors/error.ts";
import { manifestTopicPart } from "../kafka/naming.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Whether the text may be a name or enum symbol in Avro. `__proto__` may not here: it is no ordinary key in JavaScript. */
export function isAvroName(text: string): boolean {
  return NAME.test(text) && text !== "__proto__";
}

/** A name made legal: other characters become underscores, a digit in front gets one before it. */
export function legalName(text: string): string {
  const legal = text.replace(/[^A-Za-z0-9_]/g, "_");
  return /^[0-9]/.test(legal) || legal === "" ? `_${legal}` : legal;
}

/** The namespace of a public schema's types: `@org/x` and major 2 become `org.x.v2`. */
export function namespaceOf(manifestSlug: string, major: number): string {
  const parts = manifestTopicPart(manifestSlug)
    .split(".")
    .filter((part) => part !== "");
  return [...parts.map(legalName), `v${major}`].join(".");
}

/** Hands out the names of records and enums inside a schema: the path to them, joined by underscores. */
export class NameGiver {
  private readonly taken = new Map<string, string>();

  /**
   * The name for the type at a path. It depends on the path alone, not on what else the schema holds, so that a later
   * version names it the same, except where two paths join to one text (`a_b` and `a`, `b`): the second is told apart
   * by a hash of its path.
   */
  nameAt(path: readonly string[]): string {
    const joined = path.map(legalName).join("_");
    const exact = JSON.stringify(path);
    const owner = this.taken.get(joined);
    if (owner === undefined) {
      this.taken.set(joined, exact);
      return joined;
    }
    const hash = createHash("sha256").update(exact).digest("hex").slice(0, 8);
    return this.nameAt([...path, hash]);
  }
}

/** Throws FIELD_NAME_INVALID unless the name is one that Avro takes. */
export function requireFieldName(name: string, at: string): void {
  if (!isAvroName(name)) throw new RejotError("FIELD_NAME_INVALID", { detail: `"${name}" in ${at}` });
}
