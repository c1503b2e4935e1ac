import type { Usage } from "../measure/process-usage.ts";

/** What was measured in one run of one participant. A run whose content was wrong has a failure and no figures. */
export interface Measurement {
  readonly part: "source" | "sink";
  readonly workload: "small" | "large";
  /** What the source promises; a sink is always the same. */
  readonly delivery: "exactly-once" | "at-least-once" | "upsert";
  readonly participant: string;
  /** Counted from 1. */
  readonly round: number;
  readonly events: number;
  readonly figures: Figures | null;
  readonly failure: string | null;
}

/** Figures of a run with the right content at its end. */
export interface Figures {
  /** From the start of the process to the first event in the topic or row at the destination. */
  readonly startSeconds: number;
  /** From the start of the process to the last event. */
  readonly totalSeconds: number;
  /** All events over `totalSeconds`. */
  readonly eventsPerSecond: number;
  /** Events after those that were there at the first look, over the time since then. */
  readonly warmEventsPerSecond: number;
  /** CPU time of the process, start included. Null where /proc is missing. */
  readonly cpuSeconds: number | null;
  /** CPU time from the first event on, per event after it, in microseconds. */
  readonly warmCpuMicrosPerEvent: number | null;
  readonly peakRssMegabytes: number | null;
}

/** What a run saw; times are on one clock, in milliseconds. */
export interface Observation {
  readonly events: number;
  readonly startedAtMs: number;
  readonly firstAtMs: number;
  readonly eventsAtFirst: number;
  readonly lastAtMs: number;
  readonly usageAtFirst: Usage | undefined;
  readonly usageAtLast: Usage | undefined;
}

/** Works figures out. */
export function figuresOf(seen: Observation): Figures {
  const totalSeconds = (seen.lastAtMs - seen.startedAtMs) / 1000;
  const warmSeconds = (seen.lastAtMs - seen.firstAtMs) / 1000;
  const warmEvents = seen.events - seen.eventsAtFirst;
  const { usageAtFirst: first, usageAtLast: last } = seen;
  const warmCpuSeconds = first && last ? last.cpuSeconds - first.cpuSeconds : null;
  return {
    startSeconds: round((seen.firstAtMs - seen.startedAtMs) / 1000, 2),
    totalSeconds: round(totalSeconds, 2),
    eventsPerSecond: Math.round(seen.events / totalSeconds),
    // All of it may have come at once.
    warmEventsPerSecond: warmSeconds > 0 ? Math.round(warmEvents / warmSeconds) : 0,
    cpuSeconds: last ? round(last.cpuSeconds, 2) : null,
    warmCpuMicrosPerEvent:
      warmCpuSeconds === null || warmEvents === 0 ? null : round((warmCpuSeconds * 1e6) / warmEvents, 1),
    peakRssMegabytes: last ? Math.round(last.peakRssBytes / 1e6) : null,
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
