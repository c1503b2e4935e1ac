import type pg from "pg";
import { RejotError } from "../errors/error.ts";

export type PgTypeKind =
  | "base"
  | "enum"
  | "domain"
  | "composite"
  | "range"
  | "multirange"
  | "array"
  | "pseudo";

/** A type of one Postgres server. */
export interface PgType {
  readonly oid: number;
  /**
   * As format_type writes it for a modifier of -1, so that a cast to it cuts nothing (`bpchar`, not `character`,
   * which would mean one character): `timestamp with time zone`, `integer[]`, `shop.status`.
   */
  readonly name: string;
  readonly kind: PgTypeKind;
  /** pg_type.typcategory: S strings, N numbers, D dates, A arrays, and so on. */
  readonly category: string;
  /** Of an array: the type of its elements, and what stands between them in a literal. */
  readonly elementOid?: number;
  readonly element?: PgType;
  readonly delimiter?: string;
  /** Of a domain: the type it is made from, itself possibly a domain. */
  readonly baseOid?: number;
  readonly base?: PgType;
}

/** The types of a server, by oid. */
export interface TypeCatalog {
  /** The type. Throws TYPE_UNKNOWN when it has not been loaded: call `require` first. */
  get(oid: number): PgType;
  /** Loads the types not known yet, with the types they are made from. Throws TYPE_UNKNOWN for an oid the server does not have. */
  require(oids: readonly number[]): Promise<void>;
}

/** Oids of built-in types; they are the same on every server. */
export const OID = {
  bool: 16,
  bytea: 17,
  char: 18,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  unknown: 705,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
} as const;

/** The type under all domains. */
export function withoutDomains(type: PgType): PgType {
  let current = type;
  while (current.base !== undefined) current = current.base;
  return current;
}

interface TypeRow {
  oid: string;
  name: string;
  typtype: string;
  typcategory: string;
  element: string;
  delimiter: string;
  base: string;
}

const SELECT = `
  SELECT t.oid::text AS oid, format_type(t.oid, -1) AS name, t.typtype::text AS typtype,
         t.typcategory::text AS typcategory, coalesce(e.oid, 0)::text AS element,
         coalesce(e.typdelim, ',')::text AS delimiter, t.typbasetype::text AS base
  FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid`;

const KINDS: Record<string, PgTypeKind> = {
  b: "base",
  e: "enum",
  d: "domain",
  c: "composite",
  r: "range",
  m: "multirange",
  p: "pseudo",
};

/** Loads the built-in types; the rest comes on demand over the same client, which stays the caller's. */
export async function loadTypeCatalog(client: pg.ClientBase): Promise<TypeCatalog> {
  const known = new Map<number, PgType>();
  const builtIn = await client.query<TypeRow>(
    `${SELECT} WHERE t.oid < 10000 AND t.typtype <> 'c' AND coalesce(e.typtype, 'b') <> 'c'`,
  );
  addAll(builtIn.rows, known);

  return {
    get(oid) {
      const type = known.get(oid);
      if (type === undefined) throw new RejotError("TYPE_UNKNOWN", { detail: `oid ${oid}` });
      return type;
    },
    async require(oids) {
      const rows: TypeRow[] = [];
      let missing = [...new Set(oids)].filter((oid) => !known.has(oid));
      const asked = new Set<number>();
      while (missing.length > 0) {
        const result = await client.query<TypeRow>(`${SELECT} WHERE t.oid = ANY ($1::oid[])`, [missing]);
        for (const oid of missing) asked.add(oid);
        if (result.rows.length < missing.length) {
          const found = new Set(result.rows.map((row) => Number(row.oid)));
          const lost = missing.filter((oid) => !found.has(oid));
          throw new RejotError("TYPE_UNKNOWN", { detail: `oid ${lost.join(", ")}` });
        }
        rows.push(...result.rows);
        const parts = result.rows.flatMap((row) => [Number(row.element), Number(row.base)]);
        missing = [...new Set(parts)].filter((oid) => oid !== 0 && !known.has(oid) && !asked.has(oid));
      }
      addAll(rows, known);
    },
  };
}

/** Adds rows whose parts are among them or known already. */
function addAll(rows: readonly TypeRow[], known: Map<number, PgType>): void {
  const byOid = new Map(rows.map((row) => [Number(row.oid), row]));
  const add = (oid: number): PgType | undefined => {
    const type = known.get(oid);
    const row = byOid.get(oid);
    if (type !== undefined || row === undefined) return type;
    const made = typeOf(row, add);
    known.set(oid, made);
    return made;
  };
  for (const oid of byOid.keys()) add(oid);
}

function typeOf(row: TypeRow, add: (oid: number) => PgType | undefined): PgType {
  const elementOid = Number(row.element);
  const baseOid = Number(row.base);
  const element = elementOid === 0 ? undefined : add(elementOid);
  const base = baseOid === 0 ? undefined : add(baseOid);
  return {
    oid: Number(row.oid),
    name: row.name,
    kind: element === undefined ? (KINDS[row.typtype] ?? "base") : "array",
    category: row.typcategory,
    ...(element === undefined ? {} : { elementOid, element, delimiter: row.delimiter }),
    ...(base === undefined ? {} : { baseOid, base }),
  };
}
