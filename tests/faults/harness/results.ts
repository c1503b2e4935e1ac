import type { Fault, FaultResult } from "./fault.ts";

/** A table of the runs that were made, in Markdown; faults without a run are in it too. */
export function results(faults: readonly Fault[], made: readonly FaultResult[]): string {
  const groups = [...new Set(faults.map(({ group }) => group))].sort(
    (a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10),
  );
  return groups
    .map((group) => {
      const rows = faults
        .filter((fault) => fault.group === group)
        .map((fault) =>
          row(
            fault,
            made.filter(({ id }) => id === fault.id),
          ),
        );
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

function row({ id, title }: Fault, made: readonly FaultResult[]): string {
  const failed = made.filter(({ passed }) => !passed).length;
  const transactions = made.reduce((sum, result) => sum + result.transactions, 0);
  const slowest =
    made.length === 0 ? "" : `${(Math.max(...made.map((r) => r.recoveredMs)) / 1000).toFixed(1)} s`;
  return `| \`${id}\`: ${title} | ${made.length} | ${failed} | ${transactions} | ${slowest} |`;
}
