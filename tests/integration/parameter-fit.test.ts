import { expect, test } from "vitest";
import { parameterMisfit } from "../../cli/check/parameter-fit.ts";
import type { AvroType } from "../../shared/contracts/avro-types.ts";
import { compileParameter } from "../../shared/contracts/parameter.ts";
import { POSTGRES_TYPES } from "../../shared/contracts/type-table.ts";
import type { PgType } from "../../shared/postgres/type-catalog.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

const decimal = (precision: number, scale: number): AvroType => ({
  type: "bytes",
  logicalType: "decimal",
  precision,
  scale,
});
const NOON_US = 12 * 3_600 * 1_000_000;
const DAY_US = 86_400_000_000;

/** Fields with decoded values of theirs, among them such as some types do not hold. */
const FIELDS: Record<string, { readonly type: AvroType; readonly values: readonly unknown[] }> = {
  int: { type: "int", values: [1, 7, 16_777_217] },
  long: { type: "long", values: [1, 7, 9_007_199_254_740_993n] },
  float: { type: "float", values: [1, 0.5, Math.fround(0.1)] },
  double: { type: "double", values: [1, 1.5, 0.123456789] },
  "decimal(12, 0)": { type: decimal(12, 0), values: ["1", "7", "123456789012"] },
  "decimal(12, 2)": { type: decimal(12, 2), values: ["1.00", "7.50", "1234567890.12"] },
  "decimal(12, 9)": { type: decimal(12, 9), values: ["1.000000000", "0.123456789"] },
  "decimal(6, 2)": { type: decimal(6, 2), values: ["1.00", "7.50", "0.01"] },
  "decimal(15, 0)": { type: decimal(15, 0), values: ["1", "999999999999999"] },
  "decimal(20, 2)": { type: decimal(20, 2), values: ["1.00", "7.50", "9007199254740993.00"] },
  boolean: { type: "boolean", values: [true, false] },
  timestamp: { type: { type: "long", logicalType: "timestamp-micros" }, values: [0, DAY_US, NOON_US + 1] },
  date: { type: { type: "int", logicalType: "date" }, values: [0, 20_000] },
  time: { type: { type: "long", logicalType: "time-micros" }, values: [0, NOON_US + 1] },
  uuid: { type: { type: "string", logicalType: "uuid" }, values: ["01890a5d-ac96-774b-bcce-b302099a8057"] },
  bytes: { type: "bytes", values: [Buffer.from([0, 255]), Buffer.from("text")] },
  "array of long": { type: { type: "array", items: "long" }, values: [[1, 2], []] },
};

/** Others take the text of almost anything (tsvector, xml, bytea), whatever it means. */
const TYPES = [
  ...["boolean", "smallint", "integer", "bigint", "oid", "real", "double precision", "numeric", "money"],
  ...["date", "time", "timetz", "uuid", "text", "jsonb", "integer[]"],
  ...["timestamp", "timestamptz"],
];

/** Numbers that are too large, or negative, for a type are not judged. */
const OUT_OF_RANGE = "22003";

/** The SQLSTATE with which a type refuses a text; null when it takes it. Some types' input throws all the same. */
async function inputError(
  database: TestDatabase,
  text: string | null,
  type: string,
): Promise<string | null | undefined> {
  try {
    const [row] = await database.query("SELECT sql_error_code AS code FROM pg_input_error_info($1, $2)", [
      text,
      type,
    ]);
    return row?.code;
  } catch {
    return undefined;
  }
}

/** How many of the values reach the type, as the sink binds them, and how many do not. */
async function outcomes(
  database: TestDatabase,
  field: { readonly type: AvroType; readonly values: readonly unknown[] },
  pg: PgType,
): Promise<{ taken: number; refused: number }> {
  const text = compileParameter(field.type, pg);
  const counts = { taken: 0, refused: 0 };
  for (const value of field.values) {
    let bound: string | null;
    try {
      bound = text(value);
    } catch {
      counts.refused++;
      continue;
    }
    const code = await inputError(database, bound, pg.name);
    if (code === null) counts.taken++;
    else if (code !== OUT_OF_RANGE) counts.refused++;
  }
  return counts;
}

test("what the check says of a field and a type is what the sink and the destination do with its values", async () => {
  await using database = await createDatabase();
  const types = POSTGRES_TYPES.filter(({ name }) => TYPES.includes(name));
  expect(types).toHaveLength(TYPES.length);
  const wrong: string[] = [];
  for (const [name, field] of Object.entries(FIELDS)) {
    for (const pg of types) {
      const misfit = parameterMisfit(field.type, pg);
      const { taken, refused } = await outcomes(database, field, pg);
      const agrees =
        misfit?.severity === "error"
          ? taken === 0
          : misfit?.severity === "warning"
            ? refused > 0 && taken > 0
            : refused === 0;
      if (!agrees)
        wrong.push(
          `${name} for ${pg.name}: ${misfit?.why ?? "fits"}, but ${taken} taken, ${refused} refused`,
        );
    }
  }
  expect(wrong).toEqual([]);
});
