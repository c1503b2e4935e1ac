/** A node of EXPLAIN (FORMAT JSON), as far as it is looked at. */
export interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly Schema?: string;
  readonly "Index Cond"?: string;
  readonly Filter?: string;
  readonly Plans?: readonly PlanNode[];
}

/** A table that a plan reads from one end to the other. */
export interface TableScan {
  readonly schema: string;
  readonly table: string;
  /** The condition that is tried on every row. */
  readonly filter: string | undefined;
}

const INDEX_SCANS = new Set(["Index Scan", "Index Only Scan"]);

/** The tables that a plan reads whole: by a sequential scan, or through an index without a condition on it. */
export function tableScans(plan: PlanNode): TableScan[] {
  // The first row of an index is what min, max and ORDER BY … LIMIT read.
  const inside = plan["Node Type"] === "Limit" ? [] : (plan.Plans ?? []).flatMap(tableScans);
  const whole =
    plan["Node Type"] === "Seq Scan" ||
    (INDEX_SCANS.has(plan["Node Type"]) && plan["Index Cond"] === undefined);
  const table = plan["Relation Name"];
  if (!whole || table === undefined) return inside;
  return [{ schema: plan.Schema ?? "public", table, filter: plan.Filter }, ...inside];
}

/** From how many rows on a table is too large to be read for every batch. */
const LARGE_ROWS = 10_000;

/** What a scan of a table of that size is; `rows` undefined: never analyzed, or empty. */
export function verdictOf(rows: number | undefined): "large" | "small" | "unknown" {
  if (rows === undefined) return "unknown";
  return rows >= LARGE_ROWS ? "large" : "small";
}
