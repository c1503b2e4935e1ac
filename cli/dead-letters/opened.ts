import type { DestinationLetters } from "../../sink-connector/postgres-destination-letters.ts";
import type { Target } from "./destinations.ts";

/** A destination whose dead letters can be read. */
export interface Opened {
  readonly target: Target;
  readonly letters: DestinationLetters;
}

/** More consumer schemas than anybody has on one topic. */
export const CONSUMERS_OF_EVENT = 1_000;

/** Connects to all destinations, works, and closes. Throws POSTGRES_* and what the work throws. */
export async function withLetters(
  targets: readonly Target[],
  work: (opened: readonly Opened[]) => Promise<void>,
): Promise<void> {
  const { setLogLevel } = await import("../../shared/observability/logger.ts");
  const { DestinationLetters } = await import("../../sink-connector/postgres-destination-letters.ts");
  setLogLevel("silent");
  await using cleanup = new AsyncDisposableStack();
  const opened: Opened[] = [];
  for (const target of targets) {
    const letters = await DestinationLetters.open(target.destination);
    cleanup.defer(() => letters.close());
    opened.push({ target, letters });
  }
  await work(opened);
}
