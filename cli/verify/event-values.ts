import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { compileRowDecoder } from "../../shared/contracts/row-decoder.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { unframe } from "../../shared/registry/wire-format.ts";
import type { StatementParameters } from "../../sink-connector/applier/postgres-parameters.ts";
import { compileBinder } from "../../sink-connector/decoder/binding.ts";
import { isUnreadable } from "./field-prints.ts";

/** The values that a statement takes of a record, as Postgres's text; or why it takes none. */
export type BoundValues =
  | { readonly values: readonly (string | null)[] }
  | { readonly values: null; readonly reason: string };

/** The placeholders of a statement, and their types. */
export interface BoundParameters {
  readonly shape: Pick<StatementParameters["shape"], "names">;
  readonly types: StatementParameters["types"];
}

type Bind = (avro: Buffer) => (string | null)[];

/** Binds records to a consumer schema's statement as the sink does. */
export class EventValues {
  readonly #registry: Pick<SchemaRegistry, "schemaById">;
  readonly #parameters: BoundParameters;
  readonly #keyParameters: ReadonlySet<string>;
  readonly #compiled = new Map<number, Promise<Bind>>();

  /** `keyParameters` are the placeholders by which a row is found. */
  constructor(
    registry: Pick<SchemaRegistry, "schemaById">,
    parameters: BoundParameters,
    keyParameters: ReadonlySet<string>,
  ) {
    this.#registry = registry;
    this.#parameters = parameters;
    this.#keyParameters = keyParameters;
  }

  /** Of a record's value. Throws REGISTRY_*. */
  of(value: Buffer): Promise<BoundValues> {
    return this.#bound(value, () => true);
  }

  /** Of a record's key: only good for finding the row, and only if the key has all that takes. Throws REGISTRY_*. */
  ofKey(key: Buffer): Promise<BoundValues> {
    return this.#bound(key, ({ fields }) =>
      [...this.#keyParameters].every((name) => fields.some((field) => field.name === name)),
    );
  }

  async #bound(record: Buffer, suffices: (schema: AvroRecord) => boolean): Promise<BoundValues> {
    try {
      const { schemaId, avro } = unframe(record);
      let bind = this.#compiled.get(schemaId);
      if (bind === undefined) {
        bind = this.#registry.schemaById(schemaId).then((schema) => this.#compile(schema, suffices));
        this.#compiled.set(schemaId, bind);
        bind.catch(() => this.#compiled.delete(schemaId));
      }
      return { values: (await bind)(avro) };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return { values: null, reason: error instanceof Error ? error.message : String(error) };
    }
  }

  #compile(schema: AvroRecord, suffices: (schema: AvroRecord) => boolean): Bind {
    if (!suffices(schema)) throw new Error("the key alone does not find the row");
    const { shape, types } = this.#parameters;
    const decode = compileRowDecoder(schema);
    const bind = compileBinder({ statement: 0, placeholders: shape.names, types }, schema);
    return (avro) => bind(decode(avro));
  }
}
