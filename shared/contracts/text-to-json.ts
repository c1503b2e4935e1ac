import { OID, type PgType, withoutDomains } from "../postgres/type-catalog.ts";
import { type ArrayText, parseArrayText } from "./array-text.ts";
import { Unfit } from "./unfit.ts";

const NUMBERS: ReadonlySet<number> = new Set([
  OID.int2,
  OID.int4,
  OID.int8,
  OID.oid,
  OID.float4,
  OID.float8,
  OID.numeric,
]);

/** The JSON text of a value's Postgres text: what to_json gives for numbers, booleans, JSON and arrays, else a string. */
export function jsonTextOf(pgType: PgType): (text: string) => string {
  const pg = withoutDomains(pgType);
  if (pg.oid === OID.json || pg.oid === OID.jsonb) return (text) => text;
  if (pg.oid === OID.bool) return (text) => (text === "t" ? "true" : "false");
  if (NUMBERS.has(pg.oid)) return (text) => (/^-?[0-9]/.test(text) ? text : JSON.stringify(text));
  const { element } = pg;
  if (element === undefined) return (text) => JSON.stringify(text);
  const elementText = jsonTextOf(element);
  return (text) => {
    const elements = parseArrayText(text, pg.delimiter);
    if (elements === undefined) throw new Unfit("it is no array that starts at index 1");
    return arrayJson(elements, elementText);
  };
}

function arrayJson(elements: ArrayText, elementText: (text: string) => string): string {
  const parts = elements.map((element) => {
    if (element === null) return "null";
    return Array.isArray(element) ? arrayJson(element, elementText) : elementText(element);
  });
  return `[${parts.join(",")}]`;
}
