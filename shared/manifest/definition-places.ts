import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { SqlPlace } from "../errors/error.ts";
import { findJsonValue } from "./json-syntax.ts";
import type { ConsumerSchema, Manifest, PublicSchema } from "./schema.ts";

/** A place in a file. Line and column count from one. */
export interface FilePlace {
  /** Absolute path. */
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

type AnySchema = PublicSchema | ConsumerSchema;

/** The text of a file, or undefined when it cannot be read. */
type ReadText = (file: string) => string | undefined;

/**
 * Tells where the parts of a manifest are defined: schemas in the code that creates them, everything else in the
 * manifest's own text. Files are read when a place is asked for, which is when there is something to report.
 */
export class DefinitionPlaces {
  readonly #path: string;
  readonly #manifest: Manifest;
  readonly #collected: ReadonlyMap<AnySchema, readonly FilePlace[]>;
  readonly #read: ReadText;

  /**
   * `manifest` is what the file `path` holds; schemas that were just collected may be others, and `collected` knows
   * the calls that created them, the definition first.
   */
  constructor(
    path: string,
    manifest: Manifest,
    collected: ReadonlyMap<AnySchema, readonly FilePlace[]> = new Map(),
    read: ReadText = readText,
  ) {
    this.#path = path;
    this.#manifest = manifest;
    this.#collected = collected;
    const texts = new Map<string, string | undefined>();
    this.#read = (file) => {
      if (!texts.has(file)) texts.set(file, read(file));
      return texts.get(file);
    };
  }

  /** A part of the manifest's file, such as `["connections", 0]`. */
  of(path: readonly (string | number)[]): FilePlace {
    const text = this.#read(this.#path);
    const at = text === undefined ? undefined : findJsonValue(text.replace(/^\uFEFF/, ""), path);
    return { file: this.#path, ...at };
  }

  /** The call that creates a schema; for one that only the manifest has, its entry there. */
  ofSchema(schema: AnySchema): FilePlace {
    return this.#callsOf(schema)[0] ?? this.of(this.#pathOf(schema));
  }

  /**
   * A statement of a schema, or the character of it that `at` names, when the file has the statement as it is;
   * else the schema. A statement that code puts together stands nowhere.
   */
  ofStatement(schema: AnySchema, sql: string, at?: SqlPlace): FilePlace {
    const calls = this.#callsOf(schema);
    const index = at === undefined ? sql.search(/\S/) : indexOf(sql, at);
    for (const call of calls) {
      const found = this.#find(call, sql, Math.max(0, index));
      if (found !== undefined) return { file: call.file, ...found };
    }
    return calls[0] ?? this.of([...this.#pathOf(schema), "config", ...pathOfStatement(schema, sql)]);
  }

  #callsOf(schema: AnySchema): readonly FilePlace[] {
    const known = this.#collected.get(schema);
    if (known !== undefined) return known;
    if (schema.definitionFile === undefined) return [];
    const file = resolve(dirname(this.#path), schema.definitionFile);
    const text = this.#read(file);
    const call = text === undefined ? undefined : findCall(text, schema);
    return call === undefined ? [] : [{ file, ...call }];
  }

  #pathOf(schema: AnySchema): (string | number)[] {
    const key = "outputSchema" in schema ? "publicSchemas" : "consumerSchemas";
    const index = (this.#manifest[key] as readonly AnySchema[] | undefined)?.indexOf(schema) ?? -1;
    return index < 0 ? [key] : [key, index];
  }

  /** The character of a statement in the file of a call: the statement that comes first after it, else the first. */
  #find(call: FilePlace, sql: string, index: number): { line: number; column: number } | undefined {
    const text = this.#read(call.file)?.replaceAll("\r\n", "\n");
    if (text === undefined) return undefined;
    const from = offsetOfLine(text, call.line ?? 1);
    const escaped = (part: string) => JSON.stringify(part).slice(1, -1);
    for (const spelt of [(part: string) => part, escaped]) {
      const needle = spelt(sql);
      const after = text.indexOf(needle, from);
      const start = after >= 0 ? after : text.indexOf(needle);
      if (start >= 0) return placeAt(text, start + spelt(sql.slice(0, index)).length);
    }
    return undefined;
  }
}

/** The one call with the schema's name written out; several may be of several versions or kinds. */
function findCall(text: string, schema: AnySchema): { line: number; column: number } | undefined {
  const kind = "outputSchema" in schema ? "Public" : "Consumer";
  const name = schema.name.replaceAll(/[^\w]/g, "\\$&");
  const calls = [...text.matchAll(new RegExp(`create${kind}Schema\\s*\\(\\s*(["'\`])${name}\\1`, "g"))];
  return calls.length === 1 && calls[0] !== undefined ? placeAt(text, calls[0].index) : undefined;
}

function pathOfStatement(schema: AnySchema, sql: string): (string | number)[] {
  if (!("outputSchema" in schema)) return [schema.config.sql === sql ? "sql" : "deleteSql"];
  const index = schema.config.transformations.findIndex((transformation) => transformation.sql === sql);
  return ["transformations", Math.max(0, index), "sql"];
}

function offsetOfLine(text: string, line: number): number {
  let offset = 0;
  for (let current = 1; current < line; current++) offset = text.indexOf("\n", offset) + 1;
  return offset;
}

function indexOf(sql: string, { line, column }: SqlPlace): number {
  return offsetOfLine(sql, line) + column - 1;
}

function placeAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
