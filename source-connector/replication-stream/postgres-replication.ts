import type { Socket } from "node:net";
import type { Client } from "pg";
import { LogicalReplicationService } from "pg-logical-replication";
import { RejotError } from "../../shared/errors/error.ts";
import type { PostgresConnection } from "../../shared/manifest/schema.ts";
import { clientConfig, postgresError, sqlState } from "../../shared/postgres/client.ts";
import { formatLsn, type Lsn } from "../../shared/postgres/lsn.ts";
import { serverName } from "../../shared/postgres/servers.ts";
import type { Relation, ReplicationStream, WalSink } from "../ports.ts";
import { PgoutputDecoder } from "./pgoutput.ts";

/** What a stream is opened with. */
export interface ReplicationOptions {
  readonly connection: PostgresConnection;
  readonly slotName: string;
  readonly publicationName: string;
  readonly applicationName: string;
  readonly wanted: (relation: Relation) => boolean;
  readonly sink: WalSink;
}

/** How often the server hears from us, also while reading is paused: well below any wal_sender_timeout. */
const STATUS_INTERVAL_MS = 500;
/** Reading is paced when one wake-up brought more messages than this; see `pace`. */
const BURST_MESSAGES = 64;
const PACE_MS = 3;
const STOP_TIMEOUT_MS = 2_000;
const OBJECT_IN_USE = "55006";

/** node-pg's connection has the socket, its types do not say so. */
type WithSocket = { readonly connection: { readonly stream: Socket }; readonly processID: number | null };

/**
 * Starts streaming from the slot. Throws SLOT_IN_USE when another process holds it, POSTGRES_* otherwise.
 * The library's own flow control, parser and acknowledgements are off: it hands one message at a time to an
 * emitter, decodes with 9 µs a change and confirms what was received, not what is durable.
 */
export async function openReplication(options: ReplicationOptions): Promise<ReplicationStream> {
  const { connection, sink } = options;
  const service = new LogicalReplicationService(
    { ...clientConfig(connection, { applicationName: options.applicationName }) },
    { acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: false } },
  );
  const plugin = new SinkPlugin(options);
  const server = serverName(connection);
  const started = Promise.withResolvers<void>();
  let streaming = false;
  const fail = (cause: unknown): void => {
    const error = streamError(cause, server, options.slotName);
    started.reject(error);
    // An attempt that never streamed is the caller's business: the next one may use the same sink.
    if (streaming) sink.fail(error);
  };
  // Nothing is reported before the first confirmation: any LSN of our own making could move the slot.
  let confirmed = 0n as Lsn;
  const report = (): void => {
    if (confirmed === 0n) return;
    // The library adds one to what it is given. Without taking it off again, a commit record that begins exactly
    // where the confirmed transaction ends would count as confirmed and be skipped after a restart.
    service.acknowledge(formatLsn((confirmed - 1n) as Lsn)).catch(fail);
  };

  service.on("start", () => {
    streaming = true;
    started.resolve();
  });
  service.on("error", fail);
  service.on("heartbeat", (_lsn: string, _time: number, shouldRespond: boolean) => {
    if (shouldRespond) report();
  });
  service
    .subscribe(plugin, options.slotName)
    .then(() => fail(new Error("the server ended the stream")), fail);
  try {
    await started.promise;
  } catch (error) {
    // The server refuses the slot but keeps the connection; each would take one of max_wal_senders.
    await plugin.end(() => service.destroy());
    throw error;
  }
  const timer = setInterval(report, STATUS_INTERVAL_MS);

  return {
    serverPid: plugin.serverPid,
    confirm(endLsn) {
      if (endLsn <= confirmed) return;
      confirmed = endLsn;
      report();
    },
    async stop() {
      clearInterval(timer);
      await plugin.end(() => service.destroy());
    },
  };
}

/** Decodes each message at once and passes it on; holds the socket to pause it. */
class SinkPlugin {
  readonly name = "pgoutput";
  readonly options: ReplicationOptions;
  readonly #decoder: PgoutputDecoder;
  readonly #sink: WalSink;
  serverPid: number | null = null;
  #socket: Socket | undefined;
  #messages = 0;
  #failed = false;

  constructor(options: ReplicationOptions) {
    this.options = options;
    this.#decoder = new PgoutputDecoder(options.wanted);
    this.#sink = options.sink;
  }

  start(client: Client, slotName: string): Promise<unknown> {
    const { connection, processID } = client as unknown as WithSocket;
    const socket = connection.stream;
    this.#socket = socket;
    this.serverPid = processID;
    socket.on("data", () => this.#pace(socket));
    this.#sink.onRoom(() => socket.resume());
    return client.query(
      `START_REPLICATION SLOT "${slotName}" LOGICAL 0/0 (proto_version '1', ` +
        `publication_names '"${this.options.publicationName}"', messages 'true')`,
    );
  }

  parse(buffer: Buffer): void {
    if (this.#failed) return;
    this.#messages++;
    try {
      const message = this.#decoder.decode(buffer);
      if (message !== undefined) this.#sink.accept(message);
    } catch (error) {
      // Nothing after a message that was not understood may pass.
      this.#failed = true;
      this.#sink.fail(error);
    }
  }

  /**
   * Reading as eagerly as possible costs one wake-up per change at both ends. After a burst the socket rests for
   * 3 ms, so that the next wake-up finds more: measured 56,000 against 96,000 changes/s.
   */
  #pace(socket: Socket): void {
    const burst = this.#messages;
    this.#messages = 0;
    if (this.#sink.full) {
      socket.pause();
    } else if (burst > BURST_MESSAGES) {
      socket.pause();
      setTimeout(() => {
        if (!this.#sink.full) socket.resume();
      }, PACE_MS);
    }
  }

  /** A paused or dead socket never ends by itself. */
  async end(destroy: () => Promise<unknown>): Promise<void> {
    this.#failed = true;
    this.#socket?.resume();
    const timer = setTimeout(() => this.#socket?.destroy(), STOP_TIMEOUT_MS);
    await destroy().catch(() => {});
    clearTimeout(timer);
  }
}

function streamError(cause: unknown, server: string, slotName: string): RejotError {
  if (cause instanceof RejotError) return cause;
  const state = sqlState(cause);
  if (state === OBJECT_IN_USE) return new RejotError("SLOT_IN_USE", { detail: slotName, cause });
  if (state === "42704" || state === "55000") {
    return new RejotError("SLOT_LOST", { detail: `${slotName}: ${(cause as Error).message}`, cause });
  }
  return postgresError(cause, server);
}
