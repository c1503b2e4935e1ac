import type {
  Batch,
  BatchSource,
  EncodedEvent,
  Encoder,
  Interleaver,
  Progress,
  ProgressNote,
  Publisher,
  ReplicationStream,
  Transformer,
  TruncatedPiece,
  Truncation,
} from "./ports.ts";

/** The stages that a batch passes, in their order. */
export interface Stages {
  readonly source: BatchSource;
  readonly transformer: Transformer;
  readonly encoder: Pick<Encoder, "encode">;
  readonly truncation: Truncation;
  readonly interleaver: Interleaver;
  readonly publisher: Publisher;
  readonly stream: Pick<ReplicationStream, "confirm">;
  /** Told once a batch is durable and confirmed; `progress` is null for a piece of a larger transaction. */
  readonly onPublished: (batch: Batch, events: number, progress: Progress | null) => void;
}

/** A batch's events with what a backfill adds to them. */
interface Output {
  readonly events: readonly EncodedEvent[];
  readonly notes: readonly ProgressNote[];
}

/**
 * Transaction → transform → encode → interleave → publish → confirm. The next batch is read and transformed while this one
 * is published. The first failure ends it all: nothing after it is published or confirmed. Resolves when the
 * source has ended and everything it gave is durable and confirmed.
 */
export async function runPipeline(stages: Stages): Promise<void> {
  let publishing: Promise<void> = Promise.resolve();
  for await (const batch of stages.source.batches()) {
    const [piece] = batch;
    if (piece?.truncated !== undefined) {
      // What the topics hold is what is to go: all of it must be there.
      await publishing;
      await publishTombstones(stages, { ...piece, truncated: piece.truncated });
      continue;
    }
    const output = await firstFailure(publishing, prepare(stages, batch));
    await publishing;
    publishing = publishAndConfirm(stages, batch, output);
    // Whoever awaits it next meets the failure; until then it must not count as unhandled.
    publishing.catch(() => {});
  }
  await publishing;
}

/** They become visible with the rest of their transaction. */
async function publishTombstones(stages: Stages, piece: TruncatedPiece): Promise<void> {
  let count = 0;
  for (const topic of stages.truncation.topics(piece)) stages.interleaver.emptied(topic);
  for await (const events of stages.truncation.tombstones(piece)) {
    await stages.publisher.publish(events, null);
    count += events.length;
  }
  stages.onPublished([piece], count, null);
}

async function prepare({ transformer, encoder, interleaver }: Stages, batch: Batch): Promise<Output> {
  return interleaver.merge(batch, await encoder.encode(await transformer.transform(batch)));
}

async function publishAndConfirm(stages: Stages, batch: Batch, { events, notes }: Output): Promise<void> {
  const progress = progressAfter(batch);
  await stages.publisher.publish(events, progress, notes);
  if (progress !== null) stages.stream.confirm(progress.endLsn);
  stages.onPublished(batch, events.length, progress);
}

/** Null while the batch's last transaction has more pieces to come. */
function progressAfter(batch: Batch): Progress | null {
  const last = batch.at(-1);
  if (last === undefined || last.endLsn === null) return null;
  return { commitLsn: last.commitLsn, endLsn: last.endLsn, commitTimeMs: last.commitTimeMs };
}

/** The value of `work`, unless `other` fails before. */
function firstFailure<T>(other: Promise<void>, work: Promise<T>): Promise<T> {
  return Promise.race([work, other.then(() => work)]);
}
