import { backfillName } from "../shared/kafka/backfill-record.ts";
import { backfillSetting } from "../shared/manifest/backfill.ts";
import type { ResolvedSource } from "../shared/manifest/workspace.ts";
import type { Logger } from "../shared/observability/logger.ts";
import { type PostgresClient, postgresError } from "../shared/postgres/client.ts";
import type { Lsn } from "../shared/postgres/lsn.ts";
import { ChunkWindows } from "./backfill/chunk-windows.ts";
import { BackfillRunner } from "./backfill/runner.ts";
import type { SourceConfig } from "./config.ts";
import { BACKFILL_PREFIX, type ChunkReader, type Encoder, type TopicKeys } from "./ports.ts";
import type { ProgressWatcher } from "./progress/kafka-progress.ts";
import type { Begun } from "./session-rebuild.ts";
import type { UnitState } from "./unit-state.ts";

/** What a session's backfills work with. */
export interface SessionBackfillOptions {
  readonly source: ResolvedSource;
  readonly config: SourceConfig;
  readonly state: UnitState;
  readonly log: Logger;
  readonly reader: ChunkReader;
  readonly encoder: Encoder;
  readonly unproven: () => ReadonlySet<number>;
  /** May write to the WAL. */
  readonly client: PostgresClient;
  readonly watcher: ProgressWatcher;
  readonly keys: TopicKeys;
  /** What this session has begun: the progress topic's end may not show it yet. */
  readonly begun: Begun;
  readonly onFailure: (error: unknown) => void;
}

/** The backfills of one session: begun when it is active, gone with it. */
export class SessionBackfill {
  readonly windows = new ChunkWindows();
  readonly #options: SessionBackfillOptions;
  readonly #runner: BackfillRunner;
  readonly #passed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SessionBackfillOptions) {
    const { source, config, state, log, reader, encoder, unproven, client, watcher, onFailure } = options;
    const { keys, begun } = options;
    this.#options = options;
    this.#runner = new BackfillRunner({
      topics: source.publicSchemas.map(({ schema, topic }, i) => {
        return {
          schema: i,
          name: backfillName(schema),
          topic,
          mode: backfillSetting(schema, source.config).mode,
        };
      }),
      records: new Map([...watcher.backfills, ...begun.backfills]),
      reader,
      keys,
      encoder,
      windows: this.windows,
      unproven,
      sendMark: async (mark) => {
        // In a transaction of its own, which then has its place among the commits. It takes no right.
        await client
          .query("SELECT pg_logical_emit_message(true, $1, $2)", [BACKFILL_PREFIX, mark])
          .catch((cause: unknown) => {
            throw postgresError(cause, "sending a backfill's mark");
          });
      },
      chunkRows: config.backfillChunkRows,
      chunkBytes: config.maxBytes,
      rowsPerSecond: config.backfillRowsPerSecond,
      onChange: (name, record, rate) => state.backfilled(name, record, rate),
      onFailure,
      log,
    });
  }

  start(): void {
    const { watcher, config, state, begun } = this.#options;
    state.rebuilding(begun.rebuild ?? watcher.rebuild);
    this.#runner.start();
    this.#pass();
    let looking = false;
    this.#timer = setInterval(() => {
      if (looking) return;
      looking = true;
      watcher
        .refresh()
        .then(
          () => this.#pass(),
          // Whether Kafka can be reached is noticed where events are published.
          (err: unknown) => this.#options.log.debug({ err }, "could not look for commands"),
        )
        .finally(() => {
          looking = false;
        });
    }, config.backfillPollMs);
  }

  /** Everything up to this commit is in the topics. */
  durable(commitLsn: Lsn): void {
    this.#runner.durable(commitLsn);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#runner.stop();
  }

  #pass(): void {
    for (const [name, command] of this.#options.watcher.commands) {
      if (this.#passed.has(command.id)) continue;
      this.#passed.add(command.id);
      this.#runner.command(name, command);
    }
  }
}
