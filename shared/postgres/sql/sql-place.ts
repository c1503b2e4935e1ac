import type { SqlPlace } from "../../errors/error.ts";

/** The place of a byte of a statement. */
export function placeOfByte(sql: string, byte: number): SqlPlace {
  return placeOfIndex(sql, Buffer.from(sql).subarray(0, byte).toString().length);
}

/** The place of a character of a statement, counted from zero as JavaScript counts. */
export function placeOfIndex(sql: string, index: number): SqlPlace {
  const before = sql.slice(0, index);
  const start = before.lastIndexOf("\n") + 1;
  const end = sql.indexOf("\n", index);
  return {
    line: before.split("\n").length,
    column: before.length - start + 1,
    text: sql.slice(start, end < 0 ? undefined : end).replace(/\r$/, ""),
  };
}

/** The byte at which a character begins, counted from zero in code points as Postgres' positions are. */
export function byteOffset(text: string, character: number): number {
  let units = 0;
  for (let i = 0; i < character && units < text.length; i++) {
    units += (text.codePointAt(units) ?? 0) > 0xffff ? 2 : 1;
  }
  return Buffer.byteLength(text.slice(0, units));
}
