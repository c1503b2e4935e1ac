import type { Figures } from "../report/measurement.ts";
import type { ProfileSummary, SelfTime } from "./cpu-profile.ts";

const PACKAGES_SHOWN = 15;

/** The profile as text for a terminal. Figures under the profiler are lower than without. */
export function renderProfile(figures: Figures, summary: ProfileSummary, top: number): string {
  const { busyMilliseconds, idleMilliseconds, functions, packages } = summary;
  return [
    `${figures.eventsPerSecond} events/s under the profiler, ${figures.warmEventsPerSecond} once warm`,
    `${busyMilliseconds} ms busy, ${idleMilliseconds} ms idle, start included`,
    "",
    "self time by package",
    ...packages.slice(0, PACKAGES_SHOWN).map(line),
    "",
    "self time by function",
    ...functions.slice(0, top).map(line),
  ].join("\n");
}

function line({ place, milliseconds, share }: SelfTime): string {
  return `${(share * 100).toFixed(1).padStart(6)} % ${String(milliseconds).padStart(7)} ms  ${place}`;
}
