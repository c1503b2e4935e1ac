/** A record as kafkajs decodes it out of a fetch response, control records included. */
export interface FetchedMessage {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | Buffer[] | undefined>>;
  readonly isControlRecord: boolean;
  readonly batchContext: {
    readonly firstOffset: string;
    readonly lastOffsetDelta: number;
    readonly producerId: string;
    readonly inTransaction: boolean;
  };
}

/** An aborted transaction that overlaps a fetch response. */
export interface AbortedTransaction {
  readonly producerId: string;
  readonly firstOffset: string;
}

/** A record that belongs to the topic: committed, and not a marker of Kafka's own. */
export interface CommittedRecord {
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: FetchedMessage["headers"];
}

/** The second number of a control record's key says what it marks. */
const ABORT_MARKER = 0;

/**
 * A fetch response in which records of aborted transactions count as Kafka's own, like the markers: offsets stay where
 * they are. Brokers send aborted records too, with the list of their transactions. (kafkajs' own filter begins one
 * aborted transaction per record at most: with two open at once it lets records of the second through.)
 */
export function hideAborted<M extends FetchedMessage>(
  messages: readonly M[],
  aborted: readonly AbortedTransaction[],
): M[] {
  const upcoming = aborted
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: BigInt(firstOffset) }))
    .sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  let next = 0;
  const aborting = new Set<string>();
  return messages.map((message) => {
    const offset = BigInt(message.offset);
    const { producerId, inTransaction } = message.batchContext;
    for (let t = upcoming[next]; t !== undefined && t.firstOffset <= offset; t = upcoming[++next]) {
      aborting.add(t.producerId);
    }
    if (message.isControlRecord) {
      if (message.key !== null && message.key.readInt16BE(2) === ABORT_MARKER) aborting.delete(producerId);
      return message;
    }
    return inTransaction && aborting.has(producerId) ? { ...message, isControlRecord: true } : message;
  });
}

/**
 * What a read_committed reader sees of a fetch response, from an offset on. A response starts with a whole batch,
 * so records before the offset are in it.
 */
export function committedRecords(
  messages: readonly FetchedMessage[],
  aborted: readonly AbortedTransaction[],
  fromOffset: bigint,
): CommittedRecord[] {
  const records: CommittedRecord[] = [];
  for (const message of hideAborted(messages, aborted)) {
    const offset = BigInt(message.offset);
    if (message.isControlRecord || offset < fromOffset) continue;
    const { key, value, headers, timestamp } = message;
    records.push({ offset, timestampMs: Number(timestamp), key, value, headers });
  }
  return records;
}

/** The offset behind a response: behind its last batch, which compaction may have left with fewer records. */
export function offsetBehind(messages: readonly FetchedMessage[]): bigint | undefined {
  const last = messages.at(-1);
  if (last === undefined) return undefined;
  return BigInt(last.batchContext.firstOffset) + BigInt(last.batchContext.lastOffsetDelta) + 1n;
}
