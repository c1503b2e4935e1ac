import { type BackfillCommand, type BackfillRecord, isRemoving } from "../../shared/kafka/backfill-record.ts";

const BAR = 20;

/** How far a backfill is, in one line: a bar, rows, rate, time left. `rowsPerSecond` where it was measured. */
export function progressLine(
  name: string,
  record: BackfillRecord,
  rowsPerSecond: number | undefined,
): string {
  const { state, rows, overtaken, where, error, removed } = record;
  const total = state === "done" ? rows : Math.max(rows, record.estimatedRows);
  const share = state === "done" ? 1 : total === 0 ? 0 : Math.min(0.99, rows / total);
  const filled = Math.floor(share * BAR);
  const parts = [
    `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %`,
    `${count(rows)}${state === "done" ? "" : ` of about ${count(total)}`} rows`,
  ];
  if (state === "running" && rowsPerSecond !== undefined && rowsPerSecond > 0) {
    parts.push(
      `${count(Math.round(rowsPerSecond))} rows/s`,
      `${duration((total - rows) / rowsPerSecond)} left`,
    );
  }
  if (record.waits) parts.push("waits for transactions to end that were writing when it began");
  if (isRemoving(record)) parts.push("removing what was deleted");
  if (removed > 0) parts.push(`${count(removed)} removed`);
  if (overtaken > 0) parts.push(`${count(overtaken)} overtaken by changes`);
  if (where !== null) parts.push(`WHERE ${where}`);
  // One that is done says so as any other: what it made up for is history.
  const isRebuild = record.rebuild !== null || record.removal !== null;
  const what = isRebuild && state !== "done" ? `rebuild ${state}` : state;
  return `${name}: ${what}  ${parts.join("  ")}${error === null ? "" : `\n  ${error}`}`;
}

/** What is asked of a source, in one line. */
export function commandLine({ action, where, rowsPerSecond }: BackfillCommand): string {
  const parts: string[] = [action];
  if (where !== null) parts.push(`WHERE ${where}`);
  if (rowsPerSecond !== null) parts.push(`${rowsPerSecond} rows/s at most`);
  return parts.join("  ");
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function duration(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}
