import { RejotError } from "../errors/error.ts";
import type { JsonSchema } from "./zod-types.ts";

/** A JSON Schema whose references have been followed; `true`, which allows anything, is an empty one. */
export type ResolvedSchema = JsonSchema;

/** An error about a place of the output schema. */
export function notMappable(path: readonly string[], why: string, hint?: string): RejotError {
  return new RejotError("SCHEMA_NOT_MAPPABLE", {
    detail: `${path.length === 0 ? "the schema" : path.join(".")} ${why}`,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Keywords that say what something is for, not what it may be. */
const ANNOTATIONS = new Set([
  "$schema",
  "$id",
  "id",
  "$comment",
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "definitions",
  "$defs",
  "nullable",
]);

/** Whether the schema allows every value: `{}`, apart from annotations. */
export function allowsAnything(schema: JsonSchema): boolean {
  return Object.keys(schema).every((key) => ANNOTATIONS.has(key) || key.startsWith("x-"));
}

/** The schemas in a keyword's list; throws when the keyword holds something else. */
export function schemaList(schema: JsonSchema, keyword: string, path: readonly string[]): unknown[] {
  const list = schema[keyword];
  if (!Array.isArray(list)) throw notMappable(path, `has ${keyword} that is no list`);
  return list;
}

/** Follows references inside one document; no document is fetched. */
export class References {
  private readonly root: JsonSchema;

  constructor(root: JsonSchema) {
    this.root = root;
  }

  /** The schema itself, references followed. Throws SCHEMA_NOT_MAPPABLE for `false` and for references out of the document. */
  resolve(schema: unknown, path: readonly string[]): ResolvedSchema {
    let current = schema;
    for (let hops = 0; hops < 50; hops++) {
      if (current === true || current === undefined) return {};
      if (typeof current !== "object" || current === null || Array.isArray(current)) {
        throw notMappable(path, "allows no value");
      }
      const { $ref: reference, ...rest } = current as JsonSchema;
      if (reference === undefined) return current as JsonSchema;
      const target = this.lookUp(String(reference), path);
      current = typeof target === "object" && target !== null ? { ...target, ...rest } : target;
    }
    throw notMappable(path, "refers to itself");
  }

  /** Whether the schema contains, at any depth, a reference that leads back to it. */
  isRecursive(reference: string, path: readonly string[]): boolean {
    const seen = new Set<string>();
    const open = [reference];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const inner of referencesIn(this.lookUp(next, path))) {
        if (inner === reference) return true;
        if (!seen.has(inner)) {
          seen.add(inner);
          open.push(inner);
        }
      }
    }
    return false;
  }

  private lookUp(reference: string, path: readonly string[]): unknown {
    if (!reference.startsWith("#")) throw notMappable(path, `refers to another document, ${reference}`);
    let target: unknown = this.root;
    for (const part of reference.slice(1).split("/").slice(1)) {
      const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      const holder = target as Record<string, unknown> | null | undefined;
      if (typeof holder !== "object" || holder === null || !Object.hasOwn(holder, key)) {
        throw notMappable(path, `refers to ${reference}, which is not there`);
      }
      target = holder[key];
    }
    return target;
  }
}

function referencesIn(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  if (Array.isArray(schema)) return schema.flatMap(referencesIn);
  return Object.entries(schema).flatMap(([key, value]) =>
    key === "$ref" && typeof value === "string" ? [value] : referencesIn(value),
  );
}
