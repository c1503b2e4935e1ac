import type { Figures, Measurement } from "./measurement.ts";

/** All rounds of one comparison, as medians. */
export interface Comparison {
  readonly part: Measurement["part"];
  readonly workload: Measurement["workload"];
  readonly delivery: Measurement["delivery"];
  readonly events: number;
  /** By participant, in the order of their first runs; null without a single good run. */
  readonly medians: Readonly<Record<string, Figures | null>>;
  /** Good runs and all runs, by participant. */
  readonly runs: Readonly<Record<string, { good: number; all: number }>>;
}

/** Groups measurements by what was compared. */
export function compare(measurements: readonly Measurement[]): Comparison[] {
  const groups = Map.groupBy(measurements, (m) => `${m.part} ${m.workload} ${m.delivery}`);
  return [...groups.values()].map((group) => {
    const { part, workload, delivery, events } = group[0] as Measurement;
    const byParticipant = [...Map.groupBy(group, (m) => m.participant)];
    return {
      part,
      workload,
      delivery,
      events,
      medians: Object.fromEntries(byParticipant.map(([name, all]) => [name, medianFigures(all)])),
      runs: Object.fromEntries(
        byParticipant.map(([name, all]) => [
          name,
          { good: all.filter((m) => m.figures !== null).length, all: all.length },
        ]),
      ),
    };
  });
}

/** The median of every figure by itself. */
function medianFigures(measurements: readonly Measurement[]): Figures | null {
  const good = measurements.flatMap(({ figures }) => (figures === null ? [] : [figures]));
  if (good.length === 0) return null;
  const of = (name: keyof Figures): number | null =>
    median(good.map((figures) => figures[name]).filter((value) => value !== null));
  return {
    startSeconds: of("startSeconds") ?? 0,
    totalSeconds: of("totalSeconds") ?? 0,
    eventsPerSecond: of("eventsPerSecond") ?? 0,
    warmEventsPerSecond: of("warmEventsPerSecond") ?? 0,
    cpuSeconds: of("cpuSeconds"),
    warmCpuMicrosPerEvent: of("warmCpuMicrosPerEvent"),
    peakRssMegabytes: of("peakRssMegabytes"),
  };
}

/** The middle value, or the mean of the two in the middle. Null of nothing. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1];
  const high = sorted[Math.floor(middle)];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}
