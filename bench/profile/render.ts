import type { Figures } from "../report/measurement.ts";
import type { ProfileSummary, SelfTime } from "./cpu-profile.ts";

const PACKAGES_SHOWN = 15;
const START_SHOWN = 10;

/** What a profile says, as text for a terminal. */
export function renderProfile(
  { figures, start, stream }: { figures: Figures; start: ProfileSummary; stream: ProfileSummary },
  top: number,
): string {
  return [
    `${figures.eventsPerSecond} events/s under the profiler, ${figures.warmEventsPerSecond} once warm`,
    "",
    ...section("until the first event", start, START_SHOWN),
    ...section("from the first event to the last", stream, top),
  ].join("\n");
}

function section(title: string, summary: ProfileSummary, top: number): string[] {
  const { busyMilliseconds, idleMilliseconds, functions, packages } = summary;
  return [
    `${title}: ${busyMilliseconds} ms busy, ${idleMilliseconds} ms idle`,
    "  by package",
    ...packages.slice(0, PACKAGES_SHOWN).map(line),
    "  by function, with what it calls in Node itself",
    ...functions.slice(0, top).map(line),
    "",
  ];
}

function line({ place, milliseconds, share }: SelfTime): string {
  return `${(share * 100).toFixed(1).padStart(8)} % ${String(milliseconds).padStart(7)} ms  ${place}`;
}
