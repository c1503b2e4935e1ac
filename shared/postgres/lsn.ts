import { RejotError } from "../errors/error.ts";

/** A place in the write-ahead log, as the 64-bit integer it is. Compare as integers, never as text. */
export type Lsn = bigint & { readonly __brand: "Lsn" };

/** Reads Postgres's text form, `16/B374D848`. Throws INTERNAL_ERROR on anything else. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match === null) throw new RejotError("INTERNAL_ERROR", { detail: `"${text}" is not an LSN` });
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** Writes Postgres's text form: upper-case hexadecimal, no leading zeros in either half. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
