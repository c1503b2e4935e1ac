import { type AvroType, nullability, shapeOf } from "../../shared/contracts/avro-types.ts";
import { OID, type PgType, withoutDomains } from "../../shared/postgres/type-catalog.ts";

/** How a field's values fare as a parameter. Text is not judged: every value has one. */
export interface Misfit {
  /** error: no value, or next to none, is accepted; warning: some are refused; info: text has to spell it. */
  readonly severity: "error" | "warning" | "info";
  readonly why: string;
}

type Verdict = Misfit | undefined;

const refused = (pg: PgType): Misfit => ({ severity: "error", why: `${pg.name} does not take it` });
const partly = (why: string): Misfit => ({ severity: "warning", why });

/** Whether the values of a field are accepted, unchanged, by a parameter of a type; undefined when they are. */
export function parameterMisfit(field: AvroType, pgType: PgType): Misfit | undefined {
  const pg = withoutDomains(pgType);
  const { branches } = nullability(field);
  const verdicts = branches.map((branch) => branchMisfit(branch, pg));
  const worst = verdicts.find((v) => v?.severity === "error") ?? verdicts.find((v) => v !== undefined);
  // Of several alternatives one that fits keeps the others from being certain to fail.
  return worst?.severity === "error" && verdicts.some((v) => v?.severity !== "error")
    ? { ...worst, severity: "warning" }
    : worst;
}

function branchMisfit(type: AvroType, pg: PgType): Verdict {
  const shape = shapeOf(type);
  if (pg.category === "S" || pg.category === "X" || pg.kind === "pseudo") return undefined;
  const isJson = pg.oid === OID.json || pg.oid === OID.jsonb;
  switch (shape.kind) {
    case "string":
      return spelling(pg, isJson);
    case "json":
      return isJson ? undefined : { severity: "warning", why: `only some JSON spells ${pg.name}` };
    case "array":
      if (pg.element === undefined || isJson) return isJson ? undefined : refused(pg);
      return elementMisfit(shape.items, pg.element);
    case "null":
      return undefined;
    default:
      return isJson ? undefined : scalarMisfit(shape.kind, type, pg);
  }
}

/** Types that have a field of their own, which says more than text does. */
const OWN_FIELD = new Set<number>([
  ...[OID.bool, OID.int2, OID.int4, OID.int8, OID.float4, OID.float8, OID.numeric],
  ...[OID.date, OID.time, OID.timestamp, OID.timestamptz, OID.uuid],
]);

function spelling(pg: PgType, isJson: boolean): Verdict {
  if (!isJson && !OWN_FIELD.has(pg.oid)) return undefined;
  return { severity: "info", why: `only text that spells ${pg.name} is taken` };
}

/** An array of arrays is one of several dimensions, whose element type is the innermost one's. */
function elementMisfit(items: AvroType, element: PgType): Verdict {
  const { branches } = nullability(items);
  const inner = branches.length === 1 ? shapeOf(branches[0] as AvroType) : undefined;
  const nested = inner?.kind === "array" && withoutDomains(element).element === undefined;
  return nested ? elementMisfit(inner.items, element) : parameterMisfit(items, element);
}

const FLOATS = new Set<number>([OID.float4, OID.float8]);
const MONEY = 790;
const INTERVAL = 1186;
const TIMETZ = 1266;
const INTEGERS = new Set<number>([OID.int2, OID.int4, OID.int8, OID.oid]);
const TIMESTAMPS = new Set<number>([OID.timestamp, OID.timestamptz]);
const TIMES = new Set<number>([OID.time, TIMETZ]);

/** What the sink refuses, because Postgres would take and change it, is `guardOf` of shared/contracts. */
function scalarMisfit(kind: string, type: AvroType, pg: PgType): Verdict {
  switch (kind) {
    case "int":
    case "long":
    case "float":
    case "double":
    case "decimal":
      return numberMisfit(kind, type, pg);
    case "boolean":
      return pg.oid === OID.bool ? undefined : refused(pg);
    case "timestamp-micros":
    case "timestamp-millis":
      if (pg.oid === OID.date) return partly("the sink refuses those with a time of day");
      if (TIMES.has(pg.oid)) return { severity: "error", why: "the sink refuses to leave out their date" };
      return TIMESTAMPS.has(pg.oid) ? undefined : refused(pg);
    case "date":
      return pg.oid === OID.date || TIMESTAMPS.has(pg.oid) ? undefined : refused(pg);
    case "time-micros":
    case "time-millis":
      return TIMES.has(pg.oid) || pg.oid === INTERVAL ? undefined : refused(pg);
    case "uuid":
      return pg.oid === OID.uuid ? undefined : refused(pg);
    case "bytes":
    case "fixed":
      return pg.oid === OID.bytea ? undefined : refused(pg);
    case "enum":
      return pg.kind === "enum" ? undefined : refused(pg);
    default:
      return refused(pg);
  }
}

function numberMisfit(kind: string, type: AvroType, pg: PgType): Verdict {
  const shape = shapeOf(type);
  const isWhole = kind === "int" || kind === "long" || (shape.kind === "decimal" && shape.scale === 0);
  if (pg.oid === OID.bool && (shape.kind !== "decimal" || isWhole))
    return partly("boolean takes 0 and 1, no other number");
  if (pg.category !== "N") return refused(pg);
  if (INTEGERS.has(pg.oid))
    return isWhole ? undefined : partly(`${pg.name} takes whole numbers, none with a fraction`);
  if (pg.oid === MONEY) {
    const isCents = isWhole || (shape.kind === "decimal" && shape.scale <= 2);
    return isCents ? undefined : partly("the sink refuses fractions of a cent");
  }
  if (FLOATS.has(pg.oid) && !isHeldBy(type, pg))
    return partly(`the sink refuses numbers that ${pg.name} would round`);
  return undefined;
}

/** Decimal digits that every floating-point number of the type keeps. */
const REAL_DIGITS = 6;
const DOUBLE_DIGITS = 15;

/** Whether the floating-point type holds every value of the field. */
function isHeldBy(type: AvroType, pg: PgType): boolean {
  const shape = shapeOf(type);
  const isDouble = pg.oid === OID.float8;
  if (shape.kind === "decimal") return shape.precision <= (isDouble ? DOUBLE_DIGITS : REAL_DIGITS);
  return shape.kind === "float" || (isDouble && (shape.kind === "double" || shape.kind === "int"));
}
