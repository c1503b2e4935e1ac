import pg from "pg";
import { describe, expect, test } from "vitest";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { type RowImage, UNCHANGED } from "../ports.ts";
import type { BatchStatement, TransformationPlan } from "./plan.ts";
import { FailedRun, StatementRuns } from "./statement-runs.ts";

const RESULT = { list: [{ name: "id", typeOid: 20 }] };
const statement = (name: string, ...parameters: string[]): BatchStatement => ({
  name,
  text: name,
  parameters,
  result: RESULT,
  readsTables: false,
});
const PLAN: TransformationPlan = {
  schemaName: "account",
  operation: "update",
  emit: "upsert",
  rowImage: statement("image", "id", "big"),
  tableReason: null,
  table: statement("table", "id"),
} as TransformationPlan;
const INDEX = new Map([
  ["id", 0],
  ["big", 1],
]);

function databaseError(code: string): Error {
  const error = new pg.DatabaseError(`state ${code}`, 1, "error");
  error.code = code;
  return error;
}

/** The elements of an array literal of plain words. */
const elements = (literal: unknown) => String(literal).slice(1, -1).split(",");

/** Answers a row per element; ids in `poison` make a statement fail, prepared ones with `always` too. */
function clientOf({ poison = [], always }: { poison?: string[]; always?: string } = {}) {
  const queries: { name?: string; text: string; ids: string[] }[] = [];
  const client = {
    async query(query: { name?: string; text: string; values: string[] }) {
      const ids = elements(query.values[0]).map((id) => id.replaceAll('"', ""));
      queries.push({ ...query, ids });
      if (always !== undefined && query.name !== undefined) throw databaseError(always);
      if (ids.some((id) => poison.includes(id))) throw databaseError("22012");
      return { rows: ids.map((id, i) => [String(i + 1), id]) };
    },
  } as unknown as PostgresClient;
  return { client, queries };
}

function runsOf(images: readonly RowImage[]) {
  const runs = new StatementRuns();
  return { runs, outcomes: images.map((image) => runs.add(PLAN, image, INDEX)) };
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("StatementRuns", () => {
  test("each statement runs once for all its rows, and rows find their outcomes", async () => {
    const { client, queries } = clientOf();
    const { runs, outcomes } = runsOf([
      ["1", "a"],
      ["2", UNCHANGED],
      ["3", "c"],
    ]);
    await runs.execute(client);
    expect(queries.map(({ text, ids }) => [text, ids])).toEqual([
      ["image", ["1", "3"]],
      ["table", ["2"]],
    ]);
    expect(outcomes.map(({ rows }) => rows)).toEqual([[["1"]], [["2"]], [["3"]]]);
    expect(runs.isEmpty).toBe(true);
  });

  test("a placeholder whose value the WAL left out is an error, not a null", () => {
    expect(() => runsOf([[UNCHANGED, "a"]])).toThrow(
      expect.objectContaining({
        code: "TRANSFORMATION_VALUE_MISSING",
        message: expect.stringContaining("id"),
      }),
    );
  });

  test("the first row that fails alone is named, found in few steps", async () => {
    const { client, queries } = clientOf({ poison: ["701", "950"] });
    const { runs } = runsOf(Array.from({ length: 1_000 }, (_, i) => [String(i), "x"] as const));
    const failed = (await failure(runs.execute(client))) as FailedRun;
    expect(failed).toBeInstanceOf(FailedRun);
    expect(await failed.findFailingRow(client)).toMatchObject({
      code: "TRANSFORMATION_FAILED",
      message: expect.stringContaining("(row id=701, big=x)"),
      context: { sqlState: "22012" },
    });
    expect(queries.length).toBeLessThan(15);
  });

  test("a statement that fails as prepared only is to be planned anew", async () => {
    const { client } = clientOf({ always: "0A000" });
    const { runs } = runsOf([["1", "a"]]);
    const failed = (await failure(runs.execute(client))) as FailedRun;
    expect(await failed.findFailingRow(client)).toMatchObject({
      code: "TRANSFORMATION_OUTDATED",
      retryable: true,
    });
  });

  test.each(["08006", "57P01", "57014", "40001", "53300"])(
    "state %s is not the row's fault",
    async (state) => {
      const { client } = clientOf({ always: state });
      const { runs } = runsOf([["1", "a"]]);
      expect(await failure(runs.execute(client))).toMatchObject({ code: state });
    },
  );

  test.each(["22012", "23514", "25006", "2201B", "42P01", "0A000", "P0001", "XX000"])(
    "state %s is",
    async (state) => {
      const { client } = clientOf({ always: state });
      const { runs } = runsOf([["1", "a"]]);
      expect(await failure(runs.execute(client))).toBeInstanceOf(FailedRun);
    },
  );
});
