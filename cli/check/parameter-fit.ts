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
const INTEGERS = new Set<number>([OID.int2, OID.int4, OID.int8]);
const TIMESTAMPS = new Set<number>([OID.timestamp, OID.timestamptz]);

function scalarMisfit(kind: string, type: AvroType, pg: PgType): Verdict {
  const shape = shapeOf(type);
  switch (kind) {
    case "int":
    case "long":
      if (FLOATS.has(pg.oid) && kind === "long") return partly(`${pg.name} does not hold every whole number`);
      if (pg.oid === OID.bool) return partly("only 0 and 1 are taken for boolean");
      return pg.category === "N" ? undefined : refused(pg);
    case "float":
    case "double":
      if (pg.oid === OID.float4 && kind === "double") return partly("real holds 6 digits");
      if (INTEGERS.has(pg.oid)) return partly(`${pg.name} holds no fractions`);
      if (pg.oid === MONEY) return partly("money holds no more than cents");
      return pg.category === "N" ? undefined : refused(pg);
    case "decimal": {
      const scale = shape.kind === "decimal" ? shape.scale : 0;
      if (pg.oid === OID.numeric) return undefined;
      if (FLOATS.has(pg.oid) || pg.oid === MONEY) return partly(`${pg.name} does not hold every decimal`);
      return INTEGERS.has(pg.oid) && scale === 0 ? undefined : refused(pg);
    }
    case "boolean":
      return pg.oid === OID.bool ? undefined : refused(pg);
    case "timestamp-micros":
    case "timestamp-millis":
      if (pg.oid === OID.date) return partly("date holds no time of day");
      if (pg.oid === OID.time || pg.oid === TIMETZ) return partly(`${pg.name} holds no date`);
      return TIMESTAMPS.has(pg.oid) ? undefined : refused(pg);
    case "date":
      return pg.oid === OID.date || TIMESTAMPS.has(pg.oid) ? undefined : refused(pg);
    case "time-micros":
    case "time-millis":
      return [OID.time, TIMETZ, INTERVAL].includes(pg.oid) ? undefined : refused(pg);
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
