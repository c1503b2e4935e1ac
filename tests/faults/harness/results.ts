import type { Fault, FaultResult } from "./fault.ts";

/** What the runs of one fault came to. */
export interface Count {
  readonly runs: number;
  readonly failed: number;
  readonly transactions: number;
  readonly slowestMs: number;
}

const NONE: Count = { runs: 0, failed: 0, transactions: 0, slowestMs: 0 };

const TABLE_BEGIN = "<!-- runs -->";
const TABLE_END = "<!-- end of runs -->";

/** Adds runs to counts, by the fault's id. A failed run is counted as one, and has recovered from nothing. */
export function counted(
  made: readonly FaultResult[],
  before: ReadonlyMap<string, Count> = new Map(),
): ReadonlyMap<string, Count> {
  const counts = new Map(before);
  for (const { id, passed, transactions, recoveredMs } of made) {
    const count = counts.get(id) ?? NONE;
    counts.set(id, {
      runs: count.runs + 1,
      failed: count.failed + (passed ? 0 : 1),
      transactions: count.transactions + transactions,
      slowestMs: Math.max(count.slowestMs, passed ? recoveredMs : 0),
    });
  }
  return counts;
}

const ROW =
  /^\| `(?<id>[^`]+)`: .* \| (?<runs>\d+) \| (?<failed>\d+) \| (?<transactions>\d+) \| (?:(?<slowest>[\d.]+) s)? \|$/;

/** The counts of a table that `results` has made, so that runs add up over the years. */
export function countsIn(table: string): ReadonlyMap<string, Count> {
  const counts = new Map<string, Count>();
  for (const line of table.split("\n")) {
    const { id, runs, failed, transactions, slowest } = ROW.exec(line)?.groups ?? {};
    if (id === undefined) continue;
    counts.set(id, {
      runs: Number(runs),
      failed: Number(failed),
      transactions: Number(transactions),
      slowestMs: Math.round(Number(slowest ?? 0) * 1_000),
    });
  }
  return counts;
}

/** A table of the runs, in Markdown; faults without a run are in it too. */
export function results(faults: readonly Fault[], counts: ReadonlyMap<string, Count>): string {
  const groups = [...new Set(faults.map(({ group }) => group))].sort(
    (a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10),
  );
  return groups
    .map((group) => {
      const rows = faults
        .filter((fault) => fault.group === group)
        .map((fault) => row(fault, counts.get(fault.id) ?? NONE));
      return [
        `### ${group}\n`,
        "| fault | runs | failed | transactions | slowest recovery |",
        "|---|--:|--:|--:|--:|",
        ...rows,
        "",
      ].join("\n");
    })
    .join("\n");
}

/** The page with a table that counts these runs too, beside those that it counts already. */
export function withRuns(page: string, faults: readonly Fault[], made: readonly FaultResult[]): string {
  const [before, rest = ""] = page.split(TABLE_BEGIN);
  const [table = "", after] = rest.split(TABLE_END);
  if (after === undefined) throw new Error(`the page has no table between ${TABLE_BEGIN} and ${TABLE_END}`);
  const counts = counted(made, countsIn(table));
  return `${before}${TABLE_BEGIN}\n\n${results(faults, counts)}\n${TABLE_END}${after}`;
}

function row({ id, title }: Fault, { runs, failed, transactions, slowestMs }: Count): string {
  const slowest = runs === failed ? "" : `${(slowestMs / 1000).toFixed(1)} s`;
  return `| \`${id}\`: ${title} | ${runs} | ${failed} | ${transactions} | ${slowest} |`;
}
