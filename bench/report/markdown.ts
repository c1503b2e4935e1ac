import { WORKLOADS } from "../workload/accounts.ts";
import type { Environment } from "./environment.ts";
import type { Figures, Measurement } from "./measurement.ts";
import { type Comparison, compare } from "./summary.ts";

/** What a run of the benchmark leaves. */
export interface Report {
  readonly environment: Environment;
  readonly rowBytes: number;
  readonly rounds: number;
  readonly measurements: readonly Measurement[];
}

const COLUMNS: readonly [string, (figures: Figures) => number | null][] = [
  ["events/s", (f) => f.eventsPerSecond],
  ["warm events/s", (f) => f.warmEventsPerSecond],
  ["first event after s", (f) => f.startSeconds],
  ["all after s", (f) => f.totalSeconds],
  ["CPU s", (f) => f.cpuSeconds],
  ["warm CPU µs/event", (f) => f.warmCpuMicrosPerEvent],
  ["peak RSS MB", (f) => f.peakRssMegabytes],
];

/** The report as a page: what ran, medians with ratios, then every run. */
export function renderMarkdown(report: Report): string {
  const { environment, rowBytes, rounds, measurements } = report;
  const { date, cores, memoryGigabytes, system, loadBefore, versions } = environment;
  const versionList = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `# Side by side, ${date}`,
    "",
    `${cores} cores for everything, ${memoryGigabytes} GB of memory, ${system}; load before: ${loadBefore}. ` +
      `Rows of ${rowBytes} bytes on average, 60 % inserts, 30 % updates, 10 % deletes. ` +
      `Medians of ${rounds} ${rounds === 1 ? "round" : "rounds"}, participants taking turns.`,
    "",
    `${versionList.join(", ")}.`,
    "",
    ...compare(measurements).flatMap(renderComparison),
    "## Every run",
    "",
    ...table(
      ["part", "workload", "delivery", "round", "participant", ...COLUMNS.map(([title]) => title)],
      measurements.map((m) => [
        m.part,
        m.workload,
        m.delivery,
        String(m.round),
        m.participant,
        ...(m.figures === null ? [`failed: ${m.failure?.split("\n")[0]}`] : cells(m.figures)),
      ]),
    ),
    "",
  ].join("\n");
}

/** One comparison as a section. */
export function renderComparison(comparison: Comparison): string[] {
  const { part, workload, delivery, events, medians, runs } = comparison;
  const way = part === "source" ? "WAL to topic" : "topic to destination";
  const title = WORKLOADS.find(({ name }) => name === workload)?.title;
  const participants = Object.entries(medians);
  const rows = participants.map(([name, figures]) => [
    name + failures(runs[name]),
    ...(figures === null ? ["no good run"] : cells(figures)),
  ]);
  const [ours, peer] = participants.map(([, figures]) => figures);
  if (ours && peer) {
    const [nameA, nameB] = participants.map(([name]) => name);
    rows.push([`${nameA} : ${nameB}`, ...COLUMNS.map(([, read]) => ratio(read(ours), read(peer)))]);
  }
  return [
    `## ${way}, ${delivery}, ${title}, ${events.toLocaleString("en")} events`,
    "",
    ...table(["", ...COLUMNS.map(([heading]) => heading)], rows),
    "",
  ];
}

function failures(runs: { good: number; all: number } | undefined): string {
  return runs === undefined || runs.good === runs.all ? "" : ` (${runs.good} of ${runs.all} runs were good)`;
}

function cells(figures: Figures): string[] {
  return COLUMNS.map(([, read]) => read(figures)?.toLocaleString("en") ?? "–");
}

function ratio(a: number | null, b: number | null): string {
  return a === null || b === null || b === 0 ? "–" : `${(a / b).toFixed(2)} ×`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (row: readonly string[]) => `| ${head.map((_, i) => row[i] ?? "").join(" | ")} |`;
  const rule = head.map((_, i) => (i === 0 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)];
}
