import { RejotError } from "../../errors/error.ts";
import { createKafka } from "../../kafka/kafka-client.ts";
import { createKafkaReader, type KafkaReader } from "../../kafka/kafka-reader.ts";
import { progressTopic } from "../../kafka/naming.ts";
import type { KafkaConnection } from "../../manifest/schema.ts";
import type { ResolvedPublicSchema } from "../../manifest/workspace.ts";
import { createLogger } from "../../observability/logger.ts";
import { formatLsn } from "../../postgres/lsn.ts";
import { createSchemaRegistry } from "../../registry/schema-registry.ts";
import { type DataStoreEvent, DataStoreEvents, type SchemaToRead } from "./data-store-events.ts";
import { createEventDecoder, type EventDecoder } from "./event-decoder.ts";
import { Gate } from "./gate.ts";
import { mergeTransactions } from "./merge.ts";
import { OffsetMemory } from "./offset-memory.ts";
import type { ReadCursor, ReadEvent, ReadPort, ReadRequest, SchemaCursor, SchemaReference } from "./port.ts";
import { readProgress } from "./progress-reader.ts";
import { wholeTransactions } from "./whole-transactions.ts";

/** Public schemas whose topics are in one Kafka. */
export interface ReadableStore {
  /** Secrets are resolved. */
  readonly eventStore: KafkaConnection;
  readonly publicSchemas: readonly ResolvedPublicSchema[];
}

/** Requests that read at the same time; each holds up to about 32 MiB. */
const READS_AT_ONCE = 2;
const READS_WAITING = 64;
const MAX_FETCH_BYTES = 1024 * 1024;

/** Makes the reader behind GET /read. It connects when it is first asked. */
export function createReadPort(stores: readonly ReadableStore[], options: { clientId: string }): ReadPort {
  return new KafkaRead(stores.map((store) => openStore(store, options.clientId)));
}

interface OpenStore {
  readonly reader: KafkaReader;
  readonly decode: EventDecoder;
  readonly memory: OffsetMemory;
  readonly topicPrefix: string;
  readonly publicSchemas: readonly ResolvedPublicSchema[];
}

function openStore({ eventStore, publicSchemas }: ReadableStore, clientId: string): OpenStore {
  const kafka = createKafka(eventStore, { clientId, logger: createLogger("http-read") });
  const { url, auth } = eventStore.schemaRegistry;
  return {
    reader: createKafkaReader(kafka),
    decode: createEventDecoder(createSchemaRegistry(auth === undefined ? { url } : { url, auth })),
    memory: new OffsetMemory(),
    topicPrefix: eventStore.topicPrefix ?? "",
    publicSchemas,
  };
}

/** The public schemas of one data store that a request reads. */
interface Group {
  readonly store: OpenStore;
  readonly progressTopic: string;
  readonly schemas: SchemaToRead[];
}

interface SourcedEvent extends DataStoreEvent {
  readonly source: DataStoreEvents;
  readonly decode: EventDecoder;
}

class KafkaRead implements ReadPort {
  readonly #stores: readonly OpenStore[];
  readonly #gate = new Gate(READS_AT_ONCE, READS_WAITING);

  constructor(stores: readonly OpenStore[]) {
    this.#stores = stores;
  }

  async *read(request: ReadRequest, signal: AbortSignal): AsyncGenerator<ReadEvent> {
    const groups = this.#groups(request.cursors);
    const leave = await this.#gate.enter(signal);
    try {
      yield* readGroups(groups, request.limit, signal);
    } finally {
      leave();
    }
  }

  async cursors(signal: AbortSignal): Promise<SchemaCursor[]> {
    const groups = this.#groups([]);
    const cursors = await Promise.all(
      groups.map(async ({ store, progressTopic: topic, schemas }): Promise<SchemaCursor[]> => {
        const progress = await readProgress(store.reader, topic, signal);
        const transactionId = progress === undefined ? null : formatLsn(progress.commitLsn);
        return schemas.map(({ publicSchema }) => ({ schema: referenceOf(publicSchema), transactionId }));
      }),
    );
    return cursors.flat();
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map(({ reader }) => reader.close()));
  }

  /** Throws READ_SCHEMA_UNKNOWN. */
  #groups(cursors: readonly ReadCursor[]): Group[] {
    const groups = new Map<string, Group>();
    const add = (store: OpenStore, publicSchema: ResolvedPublicSchema, cursor: SchemaToRead["cursor"]) => {
      const { manifestSlug, dataStoreSlug } = publicSchema;
      const identity = JSON.stringify([this.#stores.indexOf(store), manifestSlug, dataStoreSlug]);
      let group = groups.get(identity);
      if (group === undefined) {
        const topic = progressTopic(store.topicPrefix, manifestSlug, dataStoreSlug);
        group = { store, progressTopic: topic, schemas: [] };
        groups.set(identity, group);
      }
      group.schemas.push({ publicSchema, cursor });
    };
    if (cursors.length === 0) {
      for (const store of this.#stores) {
        for (const publicSchema of store.publicSchemas) add(store, publicSchema, { after: null });
      }
    }
    for (const cursor of cursors) {
      const { store, publicSchema } = this.#find(cursor.schema);
      add(store, publicSchema, cursor);
    }
    return [...groups.values()];
  }

  #find(wanted: SchemaReference): { store: OpenStore; publicSchema: ResolvedPublicSchema } {
    for (const store of this.#stores) {
      const publicSchema = store.publicSchemas.find((candidate) => isSame(referenceOf(candidate), wanted));
      if (publicSchema !== undefined) return { store, publicSchema };
    }
    const detail = `"${wanted.name}" v${wanted.major} of "${wanted.manifestSlug}"`;
    throw new RejotError("READ_SCHEMA_UNKNOWN", { detail });
  }
}

async function* readGroups(
  groups: readonly Group[],
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<ReadEvent> {
  const opened = await Promise.all(
    groups.map(async ({ store, progressTopic: topic, schemas }) => {
      const { reader, memory, decode } = store;
      const maxFetchBytes = MAX_FETCH_BYTES / groups.length;
      const what = { reader, memory, progressTopic: topic, schemas, maxFetchBytes };
      return { source: await DataStoreEvents.open(what, signal), decode };
    }),
  );
  const streams = opened.map(async function* ({ source, decode }): AsyncGenerator<SourcedEvent> {
    for await (const event of source) yield { ...event, source, decode };
  });
  let drained = false;
  const merged = mergeTransactions(streams, (a, b) => a.timestampMs - b.timestampMs);
  const watched = (async function* () {
    yield* merged;
    drained = true;
  })();
  const passed = new Map<DataStoreEvents, Map<string, DataStoreEvent>>();
  for await (const event of wholeTransactions(watched, limit)) {
    const { source, publicSchema, partition, position, begins } = event;
    const operation = await event.decode(event, publicSchema);
    yield { transactionId: formatLsn(position.commitLsn), begins, operation };
    let ofSource = passed.get(source);
    if (ofSource === undefined) {
      ofSource = new Map();
      passed.set(source, ofSource);
    }
    ofSource.set(`${publicSchema.topic}/${partition}`, event);
  }
  for (const { source } of opened) source.remember(passed.get(source) ?? new Map(), drained);
}

function referenceOf({ manifestSlug, schema }: ResolvedPublicSchema): SchemaReference {
  return { manifestSlug, name: schema.name, major: schema.version.major };
}

function isSame(a: SchemaReference, b: SchemaReference): boolean {
  return a.manifestSlug === b.manifestSlug && a.name === b.name && a.major === b.major;
}
