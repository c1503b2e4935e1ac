import { expect, test } from "vitest";
import { renderMarkdown } from "./markdown.ts";
import { type Figures, figuresOf, type Measurement } from "./measurement.ts";
import { compare, median } from "./summary.ts";

const figures = (eventsPerSecond: number): Figures => ({
  startSeconds: 1,
  totalSeconds: 10,
  eventsPerSecond,
  warmEventsPerSecond: eventsPerSecond,
  cpuSeconds: null,
  warmCpuMicrosPerEvent: null,
  peakRssMegabytes: 300,
});

const run = (participant: string, round: number, measured: Figures | null): Measurement => ({
  part: "source",
  workload: "small",
  delivery: "exactly-once",
  participant,
  round,
  events: 1000,
  figures: measured,
  failure: measured === null ? "12 records for 13 changes" : null,
});

test("the median is the middle, or the mean of the middle two", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNull();
});

test("figures are counted from the process's start, and from the first event", () => {
  const seen = figuresOf({
    events: 1100,
    startedAtMs: 1000,
    firstAtMs: 2000,
    eventsAtFirst: 100,
    lastAtMs: 4000,
    usageAtFirst: { cpuSeconds: 1, peakRssBytes: 1e8 },
    usageAtLast: { cpuSeconds: 2, peakRssBytes: 2e8 },
  });
  expect(seen).toEqual({
    startSeconds: 1,
    totalSeconds: 3,
    eventsPerSecond: 367,
    warmEventsPerSecond: 500,
    cpuSeconds: 2,
    warmCpuMicrosPerEvent: 1000,
    peakRssMegabytes: 200,
  });
});

test("a failed run counts as a run and gives no figure", () => {
  const measurements = [
    run("rejot-kafka", 1, figures(300)),
    run("debezium", 1, figures(100)),
    run("debezium", 2, null),
    run("rejot-kafka", 2, figures(500)),
  ];
  const [comparison] = compare(measurements);
  expect(comparison?.medians["rejot-kafka"]?.eventsPerSecond).toBe(400);
  expect(comparison?.medians.debezium?.eventsPerSecond).toBe(100);
  expect(comparison?.runs.debezium).toEqual({ good: 1, all: 2 });
  const environment = {
    date: "2026-01-01",
    cores: 2,
    memoryGigabytes: 8,
    system: "linux",
    loadBefore: 0,
    versions: {},
  };
  const page = renderMarkdown({ environment, rowBytes: 276, rounds: 2, measurements });
  expect(page).toContain("| rejot-kafka : debezium | 4.00 × |");
  expect(page).toContain("debezium (1 of 2 runs were good)");
  expect(page).toContain("failed: 12 records for 13 changes");
});
