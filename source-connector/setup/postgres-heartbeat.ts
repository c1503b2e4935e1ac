import type { Client } from "pg";
import { postgresError } from "../../shared/postgres/client.ts";

/**
 * Keeps the slot moving while nothing that is published changes: a logical message in a transaction of its own
 * passes through the stream like a change, so its commit can be confirmed and WAL released. Messages outside of
 * a transaction would not do. Also measures how much WAL the slot holds.
 */
export class Heartbeat {
  readonly #client: Client;
  readonly #slotName: string;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  constructor(client: Client, slotName: string) {
    this.#client = client;
    this.#slotName = slotName;
  }

  /** `idle` says whether a message is due; `onFailure` gets a POSTGRES_* error when the connection is lost. */
  start(
    intervalMs: number,
    callbacks: {
      idle: () => boolean;
      onLagBytes: (bytes: number) => void;
      onFailure: (error: unknown) => void;
    },
  ): void {
    this.#timer = setInterval(() => {
      if (this.#busy) return;
      this.#busy = true;
      this.#beat(callbacks)
        .catch((cause: unknown) => callbacks.onFailure(postgresError(cause, "heartbeat")))
        .finally(() => {
          this.#busy = false;
        });
    }, intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #beat(callbacks: { idle: () => boolean; onLagBytes: (bytes: number) => void }): Promise<void> {
    if (callbacks.idle()) await this.#client.query("SELECT pg_logical_emit_message(true, 'rejot', '')");
    const result = await this.#client.query<{ lag: string }>(
      "SELECT pg_current_wal_lsn() - confirmed_flush_lsn AS lag FROM pg_replication_slots WHERE slot_name = $1",
      [this.#slotName],
    );
    const lag = result.rows[0]?.lag;
    if (lag !== undefined) callbacks.onLagBytes(Number(lag));
  }
}
