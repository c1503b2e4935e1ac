import { readFile } from "node:fs/promises";
import type pg from "pg";
import type { PostgresConnection } from "../../../shared/manifest/schema.ts";
import { connectPostgres } from "../../../shared/postgres/client.ts";
import { type Lsn, parseLsn } from "../../../shared/postgres/lsn.ts";
import { compareRows, type Difference, FLOWS, type Flow, TEAMS, type Team } from "../oracle.ts";
import type { SeenProgress } from "./arrivals.ts";
import type { Write } from "./business/write.ts";

const CHANNEL = "shopjot_demo";

/** A destination table beside what it should hold. */
export interface Comparison {
  readonly flow: Flow;
  /** Rows that the public schema's SQL returns at the source. */
  readonly rows: number;
  readonly differences: readonly Difference[];
}

/** The teams' databases: `shopjot_accounts`, `shopjot_orders`, `shopjot_shop`, as the manifests name them. */
export class TeamDatabases implements AsyncDisposable {
  readonly #server: Omit<PostgresConnection, "database">;
  readonly #sessions = new Map<string, Promise<pg.Client>>();

  /** `server` is where a superuser may create the databases. */
  constructor(server: Omit<PostgresConnection, "database">) {
    this.#server = server;
  }

  /** Creates the three databases and their tables. */
  async create(): Promise<void> {
    const admin = await connectPostgres(
      { ...this.#server, database: "postgres" },
      { applicationName: "shopjot" },
    );
    try {
      for (const team of TEAMS) await admin.query(`CREATE DATABASE shopjot_${team}`);
    } finally {
      await admin.end();
    }
    for (const team of TEAMS) {
      const client = await this.#session(team, "writes");
      await client.query(await readFile(new URL(`../${team}/tables.sql`, import.meta.url), "utf8"));
      for (const flow of FLOWS.filter((each) => each.to === team))
        await client.query(notifyOfWrites(flow.table));
    }
  }

  /**
   * Does a write in one transaction. `committing` is told a place in the write-ahead log just before the commit:
   * the commit's own LSN is not below it, and that of the team's next write is above.
   */
  async write(write: Write, committing: (lsn: Lsn) => void): Promise<void> {
    const client = await this.#session(write.team, "writes");
    await client.query("BEGIN");
    for (const { sql, values } of write.statements) await client.query(sql, [...values]);
    const { rows } = await client.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn() AS lsn");
    committing(parseLsn(rows[0]?.lsn ?? "0/0"));
    await client.query("COMMIT");
  }

  /** How far the source connector has confirmed a team's changes: all of them below are in Kafka. */
  async published(team: Team): Promise<Lsn> {
    const client = await this.#session(team, "checks");
    const { rows } = await client.query<{ lsn: string | null }>(
      "SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE database = current_database()",
    );
    return parseLsn(rows[0]?.lsn ?? "0/0");
  }

  /** Tells how far the destination is, each time that it has committed changes, with the time it was seen. */
  async watchProgress(
    team: Team,
    seen: (progress: readonly SeenProgress[], atMs: number) => void,
  ): Promise<void> {
    const client = await this.#session(team, "watch");
    let asking = false;
    let again = false;
    const ask = async (): Promise<void> => {
      asking = true;
      do {
        again = false;
        const { rows } = await client.query<{ topic: string; partition: string; next: string }>(
          "SELECT topic, partition, next_offset AS next FROM rejot.progress",
        );
        const progress = rows.map((row) => ({
          topic: row.topic,
          partition: Number(row.partition),
          nextOffset: Number(row.next),
        }));
        seen(progress, Date.now());
      } while (again);
      asking = false;
    };
    client.on("notification", () => {
      again = true;
      // A session that is gone is noticed by whoever waits for the arrivals.
      if (!asking) ask().catch(() => {});
    });
    await client.query(`LISTEN ${CHANNEL}`);
  }

  /** Compares every destination table with what the public schema's SQL returns at the source now. */
  async compare(): Promise<Comparison[]> {
    const comparisons: Comparison[] = [];
    for (const flow of FLOWS) {
      const expected = await this.#rows(flow.from, flow.expected);
      const actual = await this.#rows(flow.to, flow.actual);
      const differences = compareRows(expected, actual, flow.key.length);
      comparisons.push({ flow, rows: expected.length, differences });
    }
    return comparisons;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = await Promise.allSettled(this.#sessions.values());
    for (const session of sessions) {
      if (session.status === "fulfilled") await session.value.end().catch(() => {});
    }
  }

  async #rows(team: Team, sql: string): Promise<(string | null)[][]> {
    const client = await this.#session(team, "checks");
    return (await client.query<(string | null)[]>({ text: sql, rowMode: "array" })).rows;
  }

  #session(team: Team, use: string): Promise<pg.Client> {
    const key = `${team} ${use}`;
    let session = this.#sessions.get(key);
    if (session === undefined) {
      const connection = { ...this.#server, database: `shopjot_${team}` };
      session = connectPostgres(connection, { applicationName: `shopjot demo ${use}` });
      this.#sessions.set(key, session);
    }
    return session;
  }
}

/** Only for the demo's eyes: what arrives is told at the moment it is committed, so that latencies are exact. */
function notifyOfWrites(table: string): string {
  return `
    CREATE OR REPLACE FUNCTION shopjot_demo_notify() RETURNS trigger LANGUAGE plpgsql AS
      $$BEGIN PERFORM pg_notify('${CHANNEL}', ''); RETURN NULL; END$$;
    CREATE TRIGGER shopjot_demo AFTER INSERT OR UPDATE OR DELETE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION shopjot_demo_notify();`;
}
