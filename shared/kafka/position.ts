import { RejotError } from "../errors/error.ts";
import { formatLsn, type Lsn, parseLsn } from "../postgres/lsn.ts";

/** Insert, update, delete, backfill read. */
export type ChangeOp = "c" | "u" | "d" | "r";

/** Identifies an event: the commit LSN of its source transaction and its index inside that transaction. */
export interface Position {
  readonly commitLsn: Lsn;
  /** Zero-based, counted over all events of the transaction in all topics of the data store. */
  readonly index: number;
}

/** The name of the one header a record carries. */
export const CHANGE_HEADER = "rejot.change";

/** Writes the header's value, `<op>:<commit LSN>:<index>`, for example `u:0/16B3748:3`. */
export function formatChange(op: ChangeOp, position: Position): string {
  return `${op}:${formatLsn(position.commitLsn)}:${position.index}`;
}

/** Reads the header's value. Throws CHANGE_HEADER_INVALID when it is absent or malformed. */
export function parseChange(header: string | Buffer | undefined): { op: ChangeOp; position: Position } {
  const text = header === undefined ? "" : header.toString();
  const match = /^([cudr]):([0-9A-F]+\/[0-9A-F]+):(\d+)$/.exec(text);
  if (match?.[2] === undefined) {
    throw new RejotError("CHANGE_HEADER_INVALID", { detail: `"${text}" is not <op>:<commit LSN>:<index>` });
  }
  return { op: match[1] as ChangeOp, position: { commitLsn: parseLsn(match[2]), index: Number(match[3]) } };
}

/** The position in a header's value; undefined when there is none, as in records of others. */
export function positionOf(header: string | Buffer | undefined): Position | undefined {
  try {
    return header === undefined ? undefined : parseChange(header).position;
  } catch {
    return undefined;
  }
}

/** Orders positions as the source committed them: negative when `a` is earlier. */
export function comparePositions(a: Position, b: Position): number {
  if (a.commitLsn !== b.commitLsn) return a.commitLsn < b.commitLsn ? -1 : 1;
  return a.index - b.index;
}
