import { RejotError } from "../errors/error.ts";

const PREFIX_BYTES = 5;

/** What stands before the Avro bytes in Confluent's wire format: a zero byte and the schema's id. */
export function wirePrefix(schemaId: number): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(schemaId, 1);
  return prefix;
}

/** Puts the prefix before Avro bytes. Copies them: a row encoder given `wirePrefix` does without. */
export function frame(schemaId: number, avro: Buffer): Buffer {
  return Buffer.concat([wirePrefix(schemaId), avro]);
}

/** Takes a record's key or value apart; `avro` shares its memory. Throws RECORD_UNREADABLE when it is not in wire format. */
export function unframe(record: Buffer): { schemaId: number; avro: Buffer } {
  if (record.length < PREFIX_BYTES || record[0] !== 0) {
    throw new RejotError("RECORD_UNREADABLE", {
      detail: `it does not start with a schema's id but with 0x${record.toString("hex", 0, PREFIX_BYTES)}`,
    });
  }
  return { schemaId: record.readUInt32BE(1), avro: record.subarray(PREFIX_BYTES) };
}
