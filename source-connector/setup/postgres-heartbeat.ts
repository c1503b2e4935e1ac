import type { Client } from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { postgresError } from "../../shared/postgres/client.ts";

/** What a heartbeat asks and tells. */
export interface HeartbeatCallbacks {
  /** Whether a message is due. */
  readonly idle: () => boolean;
  readonly onLagBytes: (bytes: number) => void;
  /**
   * Looks at the server at every beat, when that has answered; what it throws goes to `onFailure`. A lock that it waits
   * for is no silence of the server.
   */
  readonly check: () => Promise<void>;
  readonly onFailure: (error: unknown) => void;
}

/** A busy server may take seconds to answer. */
const SHORTEST_LIMIT_MS = 5_000;

/**
 * Keeps the slot moving while nothing that is published changes: a logical message in a transaction of its own
 * passes through the stream like a change, so its commit can be confirmed and WAL released. Messages outside of
 * a transaction would not do. Also measures how much WAL the slot holds.
 */
export class Heartbeat {
  readonly #client: Client;
  readonly #slotName: string;
  readonly #streamPid: number | null;
  #timer: NodeJS.Timeout | undefined;
  /** Set while an answer is due. */
  #askedAtMs: number | undefined;

  /** `streamPid` is the server's process behind our stream of the slot, if it told. */
  constructor(client: Client, slotName: string, streamPid: number | null) {
    this.#client = client;
    this.#slotName = slotName;
    this.#streamPid = streamPid;
  }

  /**
   * `onFailure` gets what `check` throws, or a POSTGRES_* error when the connection is lost, or when the
   * server has not answered for three intervals: a network that swallows packets breaks no connection. So too when the
   * server streams the slot to another connection than ours or to none, of which ours need not have heard.
   */
  start(intervalMs: number, callbacks: HeartbeatCallbacks): void {
    const limitMs = Math.max(SHORTEST_LIMIT_MS, 3 * intervalMs);
    this.#timer = setInterval(() => {
      if (this.#askedAtMs !== undefined) {
        const waitedMs = Math.round(performance.now() - this.#askedAtMs);
        if (waitedMs > limitMs) callbacks.onFailure(silence(waitedMs));
        return;
      }
      this.#askedAtMs = performance.now();
      this.#beat(callbacks)
        .catch((cause: unknown) =>
          callbacks.onFailure(cause instanceof RejotError ? cause : postgresError(cause, "heartbeat")),
        )
        .finally(() => {
          this.#askedAtMs = undefined;
        });
    }, intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #beat(callbacks: HeartbeatCallbacks): Promise<void> {
    if (callbacks.idle()) await this.#client.query("SELECT pg_logical_emit_message(true, 'rejot', '')");
    const result = await this.#client.query<{ lag: string; pid: string | null }>(
      `SELECT pg_current_wal_lsn() - confirmed_flush_lsn AS lag, active_pid AS pid
         FROM pg_replication_slots WHERE slot_name = $1`,
      [this.#slotName],
    );
    const slot = result.rows[0];
    if (slot === undefined) return;
    callbacks.onLagBytes(Number(slot.lag));
    if (this.#streamPid !== null && Number(slot.pid) !== this.#streamPid) {
      throw new RejotError("POSTGRES_UNREACHABLE", {
        detail: `the server has ended the stream of slot ${this.#slotName}`,
      });
    }
    // The server has answered.
    this.#askedAtMs = performance.now();
    await callbacks.check();
  }
}

function silence(waitedMs: number): RejotError {
  return new RejotError("POSTGRES_UNREACHABLE", { detail: `no answer to the heartbeat for ${waitedMs} ms` });
}
