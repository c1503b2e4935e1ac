import { hash } from "node:crypto";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { jsonTextWriter } from "../../shared/contracts/json-value.ts";
import { compileRowDecoder, toJsonValue } from "../../shared/contracts/row-decoder.ts";
import { isRetryable, RejotError } from "../../shared/errors/error.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { unframe } from "../../shared/registry/wire-format.ts";

const WHOLE_BYTES = 16;
const FIELD_BYTES = 8;

type Compiled = (avro: Buffer) => Buffer;

/** Stands for a value as a whole: equal prints, equal bytes. Nothing of the value can be read out of it. */
export function wholePrint(value: Buffer): Buffer {
  return hash("sha1", value, "buffer").subarray(0, WHOLE_BYTES);
}

/** Stands for values field by field, whatever version of the schema they were written with. */
export class FieldPrints {
  readonly #registry: Pick<SchemaRegistry, "schemaById">;
  readonly #fields: readonly string[];
  readonly #compiled = new Map<number, Promise<Compiled>>();

  /** The fields of the public schema as it is now: one that a value was written without is null. */
  constructor(registry: Pick<SchemaRegistry, "schemaById">, fields: readonly string[]) {
    this.#registry = registry;
    this.#fields = fields;
  }

  /** The print of a value, or why it cannot be decoded. Throws REGISTRY_*. */
  async of(
    value: Buffer,
  ): Promise<{ readonly print: Buffer } | { readonly print: null; readonly reason: string }> {
    try {
      const { schemaId, avro } = unframe(value);
      let compiled = this.#compiled.get(schemaId);
      if (compiled === undefined) {
        compiled = this.#registry.schemaById(schemaId).then((schema) => compile(schema, this.#fields));
        this.#compiled.set(schemaId, compiled);
        compiled.catch(() => this.#compiled.delete(schemaId));
      }
      return { print: (await compiled)(avro) };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return { print: null, reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /** The names of the fields that differ; of several prints, compared with the one that is nearest. */
  differing(print: Buffer, others: readonly Buffer[]): readonly string[] {
    const lists = others.map((other) =>
      this.#fields.filter((_, i) => {
        const [from, to] = [i * FIELD_BYTES, (i + 1) * FIELD_BYTES];
        return !print.subarray(from, to).equals(other.subarray(from, to));
      }),
    );
    return lists.sort((a, b) => a.length - b.length)[0] ?? [];
  }
}

function compile(schema: AvroRecord, fields: readonly string[]): Compiled {
  const decode = compileRowDecoder(schema);
  const texts = fields.map((name) => {
    const field = schema.fields.find((candidate) => candidate.name === name);
    return field === undefined ? () => "null" : jsonTextWriter(field.type);
  });
  return (avro) => {
    const row = decode(avro);
    const prints = texts.map((text, i) =>
      hash("sha1", text(row[fields[i] as string]), "buffer").subarray(0, FIELD_BYTES),
    );
    return Buffer.concat(prints);
  };
}

/** Whether an error is the record's own; anything else (the registry is away) is not to be counted against it. */
export function isUnreadable(error: unknown): boolean {
  return !(isRetryable(error) || (error instanceof RejotError && error.code === "REGISTRY_REFUSED"));
}

/** A record's key as JSON; its bytes in hexadecimal when it cannot be decoded. */
export async function describeKey(
  registry: Pick<SchemaRegistry, "schemaById">,
  key: Buffer,
): Promise<{ readonly text: string; readonly readable: boolean }> {
  try {
    const { schemaId, avro } = unframe(key);
    const schema = await registry.schemaById(schemaId);
    const text = JSON.stringify(toJsonValue(schema, compileRowDecoder(schema)(avro)));
    return { text, readable: true };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { text: `0x${key.toString("hex")}`, readable: false };
  }
}
