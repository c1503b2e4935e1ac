import { expect, test } from "vitest";
import { type PlanNode, tableScans, verdictOf } from "./table-scans.ts";

const scan = (node: Partial<PlanNode>): PlanNode => ({
  "Node Type": "Seq Scan",
  "Relation Name": "orders",
  Schema: "shop",
  ...node,
});

test("a sequential scan anywhere in the plan, and an index read without a condition, read the whole table", () => {
  const plan: PlanNode = {
    "Node Type": "Nested Loop",
    Plans: [
      { "Node Type": "Function Scan" },
      { "Node Type": "Aggregate", Plans: [scan({ Filter: "(a = b)" })] },
      scan({ "Node Type": "Index Only Scan", "Relation Name": "lines" }),
    ],
  };
  expect(tableScans(plan)).toEqual([
    { schema: "shop", table: "orders", filter: "(a = b)" },
    { schema: "shop", table: "lines", filter: undefined },
  ]);
});

test("an index scan with a condition, and the first row of an index, do not", () => {
  const byIndex = scan({ "Node Type": "Index Scan", "Index Cond": "(id = 1)" });
  const first: PlanNode = { "Node Type": "Limit", Plans: [scan({ "Node Type": "Index Only Scan" })] };
  expect([byIndex, first].flatMap(tableScans)).toEqual([]);
});

test("tables are large from ten thousand rows on", () => {
  expect([9_999, 10_000, undefined].map(verdictOf)).toEqual(["small", "large", "unknown"]);
});
