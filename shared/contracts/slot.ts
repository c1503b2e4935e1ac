import { type AvroType, nullability, shapeOf } from "./avro-types.ts";
import type { AvroWriter } from "./avro-writer.ts";
import type { TextWriter } from "./scalar-writers.ts";
import { Unfit } from "./unfit.ts";

/** A place that takes a value or null: how each is written. */
export interface Slot {
  /** What says in a union that null follows; NOT_NULLABLE, or NOTHING where null is the only value. */
  readonly nullByte: number;
  /** What says in a union that the value follows; -1 outside of one. */
  readonly branchByte: number;
  readonly write: TextWriter;
}

export const NOT_NULLABLE = -1;
/** Avro writes no byte at all for the type null. */
export const NOTHING = -2;

/** The zigzag form of a branch's index: one byte for the first 64. */
export function branchByteOf(index: number): number {
  return index << 1;
}

/** Splits null off a type. `compile` gives the writer of one branch, `choose` that of several. */
export function slotOf(
  type: AvroType,
  compile: (branch: AvroType) => TextWriter,
  choose: (union: readonly AvroType[]) => TextWriter,
): Slot {
  if (!Array.isArray(type)) {
    return shapeOf(type).kind === "null"
      ? { nullByte: NOTHING, branchByte: -1, write: refuseAll }
      : { nullByte: NOT_NULLABLE, branchByte: -1, write: compile(type) };
  }
  const { branches } = nullability(type);
  const nullIndex = type.findIndex((branch) => shapeOf(branch).kind === "null");
  const nullByte = nullIndex === -1 ? NOT_NULLABLE : branchByteOf(nullIndex);
  const only = branches.length === 1 ? branches[0] : undefined;
  if (only === undefined) return { nullByte, branchByte: -1, write: choose(type) };
  return { nullByte, branchByte: branchByteOf(type.indexOf(only)), write: compile(only) };
}

function refuseAll(): void {
  throw new Unfit("the field is always null");
}

/** Writes the value or null. */
export function writeSlot(slot: Slot, text: string | null, out: AvroWriter): void {
  if (text === null) {
    if (slot.nullByte >= 0) out.byte(slot.nullByte);
    else if (slot.nullByte === NOT_NULLABLE)
      throw new Unfit("the schema does not allow null here", "VALUE_NULL");
  } else {
    if (slot.branchByte >= 0) out.byte(slot.branchByte);
    slot.write(text, out);
  }
}

/** Tries the branches one after the other; the first that takes the value has it. */
export function firstThatFits(candidates: readonly { byte: number; write: TextWriter }[]): TextWriter {
  return (text, out) => {
    const mark = out.mark();
    const reasons: string[] = [];
    for (const { byte, write } of candidates) {
      try {
        out.byte(byte);
        write(text, out);
        return;
      } catch (error) {
        if (!(error instanceof Unfit)) throw error;
        reasons.push(error.message);
        out.rewind(mark);
      }
    }
    throw new Unfit(`it fits no alternative (${[...new Set(reasons)].join("; ")})`);
  };
}
