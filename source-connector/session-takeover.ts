import { RejotError } from "../shared/errors/error.ts";
import { transactionalId } from "../shared/kafka/naming.ts";
import { delay } from "../shared/lifecycle/backoff.ts";
import { endPostgres, type PostgresClient } from "../shared/postgres/client.ts";
import type { Lsn } from "../shared/postgres/lsn.ts";
import type { TableInfo } from "../shared/postgres/table-info.ts";
import type { ReplicationStream } from "./ports.ts";
import { type ProgressWatcher, SignOfLife } from "./progress/kafka-progress.ts";
import { checkPublishedEnds } from "./progress/kafka-published-ends.ts";
import { KafkaPublisher } from "./publisher/kafka-publisher.ts";
import { openReplication } from "./replication-stream/postgres-replication.ts";
import type { SessionConnections } from "./session-connections.ts";
import type { SessionContext } from "./session-context.ts";
import { followPublished } from "./session-published.ts";
import { type Begun, beginRebuild, missingChanges, onSlotLost } from "./session-rebuild.ts";
import type { Transformations } from "./session-transformations.ts";
import { createSlot, dropUselessSlot, endSlotHolder, readSlot, readWalEnd } from "./setup/postgres-setup.ts";
import { slotNeed } from "./setup/slot-need.ts";
import { type SystemIdentity, startingPoint } from "./setup/starting-point.ts";

/** What a session takes over with. */
export interface TakeOverOptions {
  readonly context: SessionContext;
  readonly connections: SessionConnections;
  readonly cleanup: AsyncDisposableStack;
  readonly client: PostgresClient;
  readonly watcher: ProgressWatcher;
  readonly system: SystemIdentity;
  /** How many partitions each topic has, as the publisher counts them. */
  readonly partitions: ReadonlyMap<string, number>;
}

/**
 * Creates the slot at the very first start: later, a missing slot means missing changes, and the topics have to be
 * rebuilt, from a new slot. That is noted later, once this process has the slot and has fenced all others; until then it
 * shows in the slot itself, which begins behind what was published. Tells what was wrong with the slot.
 * Throws SLOT_LOST, SLOT_NOT_OURS, SLOTS_EXHAUSTED.
 */
export async function ensureSlot(
  { context, client, watcher }: TakeOverOptions,
  replaced: boolean,
): Promise<RejotError | undefined> {
  const { control, log, source } = context;
  const { slotName } = source.config;
  if (control.drain.aborted) return undefined;
  let slot = await readSlot(client, slotName);
  await watcher.refresh();
  const isUsed = slot !== undefined || watcher.everOwned;
  // Another source may have created the slot and begun since the first look.
  if (slot === undefined && isUsed) slot = await readSlot(client, slotName);
  const { progress } = watcher;
  const need = slotNeed({
    onSlotLost: onSlotLost(context),
    slot,
    everPublished: isUsed,
    progress,
    replaced,
  });
  if (need === "nothing") return undefined;
  const lost = new RejotError("SLOT_LOST", { detail: slot?.lost ?? `${slotName} does not exist` });
  if (need === "give up") throw lost;
  if (need === "replace") {
    log.warn({ slotName, lost: slot?.lost }, "dropping the replication slot: it is of no use any more");
    await dropUselessSlot(client, slotName, progress?.endLsn ?? (0n as Lsn));
  }
  if (control.drain.aborted) return undefined;
  log.info({ slotName }, "creating the replication slot; this waits for running transactions");
  const giveUp = () => void endPostgres(client);
  control.drain.addEventListener("abort", giveUp, { once: true });
  try {
    await createSlot(client, slotName);
  } finally {
    control.drain.removeEventListener("abort", giveUp);
  }
  return lost;
}

/** The slot's stream, as soon as this process can have it; undefined when told to drain before. */
export async function acquireSlot(
  { context, connections, client, watcher }: TakeOverOptions,
  tables: readonly TableInfo[],
): Promise<ReplicationStream | undefined> {
  const { source, config, state, control, applicationName } = context;
  const { slotName, publicationName } = source.config;
  const used = new Set(tables.map((table) => table.oid));
  // Tables that are swapped under one name are one table to the SQL.
  const names = new Set(tables.map(({ schema, name }) => `${schema}.${name}`));
  while (!control.drain.aborted) {
    try {
      return await openReplication({
        connection: connections.server,
        slotName,
        publicationName,
        applicationName,
        wanted: ({ oid, schema, name }) => used.has(oid) || names.has(`${schema}.${name}`),
        sink: context.buffer,
      });
    } catch (error) {
      if (!(error instanceof RejotError) || error.code !== "SLOT_IN_USE") throw error;
    }
    if (connections.lost !== undefined) throw connections.lost;
    state.role = "standby";
    state.recovered();
    context.settled();
    await watcher.refresh();
    if (watcher.progress !== undefined) state.resumed(watcher.progress);
    if (watcher.silentMs > config.takeoverMs) {
      const ended = await endSlotHolder(client, slotName, applicationName);
      if (ended) {
        const { silentMs } = watcher;
        context.log.warn({ silentMs }, "the active source was silent: ended its connection");
      }
    }
    await delay(config.standbyPollMs, control.drain).catch(() => {});
  }
  return undefined;
}

/** Fences every older publisher; then knows all that they have committed. */
export async function takeOver({
  context,
  cleanup,
  watcher,
  system,
  partitions,
}: TakeOverOptions): Promise<KafkaPublisher> {
  const { source, config, instance, kafka, progressTopic, claim, state } = context;
  const alive = new SignOfLife(kafka, progressTopic, claim);
  cleanup.defer(() => alive.stop());
  await alive.start(config.aliveMs);
  const publisher = await KafkaPublisher.open(
    {
      kafka,
      progressTopic,
      transactionalId: transactionalId(
        source.eventStore.topicPrefix ?? "",
        source.manifestSlug,
        source.dataStoreSlug,
      ),
      delivery: source.config.delivery ?? "exactly-once",
      partitions,
      transactionTimeoutMs: config.transactionTimeoutMs,
      identity: { instance, systemIdentifier: system.systemIdentifier, timeline: system.timeline },
      onSilence: (error) => state.failed(error),
    },
    claim,
  );
  cleanup.defer(() => publisher.close());
  await watcher.readUpTo(claim);
  return publisher;
}

/**
 * Decides where the stream goes on, and sets all parts to that; where changes are missing and are to be rebuilt, or public
 * schemas were out of the manifest for a while, begins that, and tells. Throws what `startingPoint` throws, REBUILD_WAITS, TOPIC_LOST_EVENTS.
 */
export async function resume(
  { context, client, watcher, system, partitions }: TakeOverOptions,
  stream: ReplicationStream,
  publisher: KafkaPublisher,
  transformations: Transformations,
  lost: RejotError | undefined,
): Promise<Begun> {
  const { source, state } = context;
  const slot = await readSlot(client, source.config.slotName);
  if (slot === undefined || slot.lost !== null)
    throw new RejotError("SLOT_LOST", { detail: slot?.lost ?? source.config.slotName });
  stream.confirm(slot.confirmedLsn);
  const known = {
    progress: watcher.progress,
    slotConfirmedLsn: slot.confirmedLsn,
    walEndLsn: await readWalEnd(client),
    ...system,
  };
  const missing = missingChanges(context, known);
  // A slot that was made in place of a lost one shows as one that is further than the progress.
  const reason = missing?.code === "PROGRESS_BEHIND_SLOT" ? (lost ?? missing) : missing;
  // A slot that begins before what was published is of the other history: a new session replaces it.
  if (reason !== undefined && slot.confirmedLsn < (known.progress?.endLsn ?? 0n)) throw reason;
  const start = startingPoint(reason === undefined ? known : { ...known, progress: undefined });
  const before = watcher.progress;
  const commitTimeMs = reason === undefined ? before?.commitTimeMs : undefined;
  const progress = { ...start, commitTimeMs: commitTimeMs ?? Date.now() };
  const ends = before?.ends ?? {};
  await checkPublishedEnds(
    context.kafka,
    source.publicSchemas.map(({ topic }) => topic),
    ends,
    context.control.abort,
  );
  publisher.resumeFrom(ends);
  const removal = { context, transformations, partitions, watcher };
  const followed = await followPublished({ ...removal, rebuilds: reason !== undefined });
  let begun: Begun = { rebuild: undefined, backfills: followed.backfills };
  if (reason !== undefined) {
    const from = before?.commitLsn ?? (0n as Lsn);
    begun = await beginRebuild({ ...removal, reason, publisher, from, progress, notes: followed.notes });
  } else if (start.fresh || followed.notes.length > 0) {
    await publisher.publish([], progress, followed.notes);
  }
  context.buffer.skipUpTo(start.commitLsn, start.comesAgainFromMs);
  stream.confirm(start.endLsn);
  state.resumed(progress);
  return begun;
}
