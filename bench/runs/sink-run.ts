import type { PostgresServer } from "../../compose/dev-stack/postgres-server.ts";
import { readUsage } from "../measure/process-usage.ts";
import type { Participant, RunningParticipant, SinkTask } from "../participants/participant.ts";
import { type Figures, figuresOf } from "../report/measurement.ts";
import { MARKER_ROWS } from "../workload/accounts.ts";
import { sameContent } from "../workload/content.ts";
import {
  connect,
  countMarkers,
  countRows,
  readContent,
  type WrittenDatabase,
} from "../workload/postgres-workload.ts";
import { watch } from "./watch.ts";

const POLL_MS = 20;
/** The rows after which nothing is to come are there: the rest may be in a batch that is not committed yet. */
const SETTLE_MS = 20_000;
const WRONG_CONTENT = "the last rows are there, and the destination does not hold what the source does";

/**
 * Measures one sink on a full topic: from the start of its process until the destination holds what the source does.
 * Throws when it fails or when the destination's content is wrong.
 */
export async function runSink(
  participant: Participant,
  task: SinkTask,
  source: WrittenDatabase,
  server: PostgresServer,
  signal: AbortSignal,
): Promise<Figures> {
  await using client = await connect(server, task.destination);
  const running = await participant.startSink(task);
  try {
    let markers = 0;
    const describe = (): string => `${markers} of the last ${MARKER_ROWS} rows have arrived`;
    const look = { pollMs: POLL_MS, signal, describe };
    const first = await watch(running, look, async () => {
      const rows = await countRows(client);
      return rows === 0 ? undefined : { rows, ...(await now(running)) };
    });
    await watch(running, look, async () => {
      markers = await countMarkers(client, source.maxId);
      return markers === MARKER_ROWS || undefined;
    });
    const settling = { ...look, signal: AbortSignal.timeout(SETTLE_MS), describe: () => WRONG_CONTENT };
    const last = await watch(running, settling, async () => {
      const seen = await now(running);
      return sameContent(await readContent(client), source.content) ? seen : undefined;
    });
    return figuresOf({
      events: source.changes,
      startedAtMs: running.startedAtMs,
      firstAtMs: first.atMs,
      // Rows, not events: a row may already have been changed again.
      eventsAtFirst: first.rows,
      lastAtMs: last.atMs,
      usageAtFirst: first.usage,
      usageAtLast: last.usage,
    });
  } finally {
    await running.stop();
  }
}

async function now(running: RunningParticipant) {
  return { atMs: performance.now(), usage: await readUsage(running.pid) };
}
