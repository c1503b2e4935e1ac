import type { ConnectorStatus, UnitStatus } from "../../shared/http/status.ts";
import type { SpawnedConnector } from "./connector.ts";
import { type ReadRecord, toJson } from "./kafka.ts";
import { type CliResult, runCliHere } from "./run-cli.ts";
import type { SourceFixture } from "./source.ts";
import { waitFor } from "./wait-for.ts";

/** What a source tells of the backfill of a public schema. */
export interface BackfillStatus {
  readonly schema: string;
  readonly state: string;
  readonly rows: number;
  readonly events: number;
  readonly overtaken: number;
  readonly estimatedRows: number;
  readonly waitsForTransactions: boolean;
  readonly error: string | null;
}

/** The backfills that a source tells of. */
export function backfillsOf(status: UnitStatus | undefined): readonly BackfillStatus[] {
  return (status?.details?.backfills ?? []) as BackfillStatus[];
}

/** Waits until the backfill of a public schema is in a state, and gives what is told of it then. */
export function waitForBackfill(
  status: () => UnitStatus | undefined | Promise<UnitStatus | undefined>,
  schema: string,
  state = "done",
  timeoutMs = 60_000,
): Promise<BackfillStatus> {
  let last: UnitStatus | undefined;
  return waitFor(
    async () => {
      last = await status();
      return backfillsOf(last).find((backfill) => backfill.schema === schema && backfill.state === state);
    },
    { timeoutMs, describe: () => `the backfill of ${schema} to be ${state}; ${JSON.stringify(last)}` },
  );
}

/** How many times each key was read by a backfill. Keys are the JSON of the decoded key. */
export function readsByKey(records: readonly ReadRecord[]): Map<string, number> {
  const reads = new Map<string, number>();
  for (const { change, key } of records) {
    if (change?.startsWith("r:") !== true) continue;
    const id = toJson(key);
    reads.set(id, (reads.get(id) ?? 0) + 1);
  }
  return reads;
}

/** The status of the only data store of a source that is its own process. */
export function statusOf(source: SpawnedConnector): () => Promise<UnitStatus | undefined> {
  return async () => ((await source.get("/status")).body as ConnectorStatus).units[0];
}

/** Runs `backfill <action> <manifest> <flags>`. */
export function runBackfill(fixture: SourceFixture, action: string, ...flags: string[]): Promise<CliResult> {
  return runCliHere(["backfill", action, fixture.manifestPath, ...flags]);
}
