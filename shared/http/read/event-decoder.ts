import type { AvroRecord } from "../../contracts/avro-types.ts";
import { compileRowDecoder, type RowDecoder, toJsonValue } from "../../contracts/row-decoder.ts";
import { RejotError } from "../../errors/error.ts";
import type { ResolvedPublicSchema } from "../../manifest/workspace.ts";
import type { SchemaRegistry } from "../../registry/schema-registry.ts";
import { unframe } from "../../registry/wire-format.ts";
import type { TopicEvent } from "./partition-events.ts";
import type { ReadOperation } from "./port.ts";

/** Turns events into operations of /read. */
export type EventDecoder = (event: TopicEvent, publicSchema: ResolvedPublicSchema) => Promise<ReadOperation>;

/** A decoder that asks the registry once per schema. Throws RECORD_UNREADABLE and the registry's errors. */
export function createEventDecoder(registry: SchemaRegistry): EventDecoder {
  const decoders = new Map<number, Promise<(avro: Buffer) => Record<string, unknown>>>();
  const decode = async (record: Buffer): Promise<Record<string, unknown>> => {
    const { schemaId, avro } = unframe(record);
    let decoder = decoders.get(schemaId);
    if (decoder === undefined) {
      decoder = registry.schemaById(schemaId).then(jsonDecoder);
      decoders.set(schemaId, decoder);
      decoder.catch(() => decoders.delete(schemaId));
    }
    return (await decoder)(avro);
  };
  return async ({ op, key, value }, { manifestSlug, schema }) => {
    const { major, minor } = schema.version;
    const origin = {
      sourceManifestSlug: manifestSlug,
      sourcePublicSchema: { name: schema.name, version: { major, minor } },
    };
    if (value === null) {
      if (key === null) throw new RejotError("RECORD_UNREADABLE", { detail: "it has neither key nor value" });
      return { type: "delete", ...origin, objectKeys: await decode(key) };
    }
    // A deletion that publishes its object anew (a line of an order) changes the object.
    const type = op === "c" || op === "r" ? "insert" : "update";
    return { type, ...origin, object: await decode(value) };
  };
}

function jsonDecoder(schema: AvroRecord): (avro: Buffer) => Record<string, unknown> {
  const decodeRow: RowDecoder = compileRowDecoder(schema);
  return (avro) => toJsonValue(schema, decodeRow(avro)) as Record<string, unknown>;
}
