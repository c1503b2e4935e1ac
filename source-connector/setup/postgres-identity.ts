import pg from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import type { PostgresConnection } from "../../shared/manifest/schema.ts";
import { clientConfig, endPostgres, postgresError, sqlState } from "../../shared/postgres/client.ts";
import { serverName } from "../../shared/postgres/servers.ts";
import { parseTimelineHistory, type SystemIdentity } from "./starting-point.ts";

/** A history file that is not there: nothing is known of earlier timelines then. */
const UNDEFINED_FILE = "58P01";

/**
 * Asks a replication connection which cluster this is.
 * Throws POSTGRES_IS_STANDBY, ROLE_WITHOUT_REPLICATION, POSTGRES_*.
 */
export async function identifySystem(
  connection: PostgresConnection,
  applicationName: string,
): Promise<SystemIdentity> {
  const config = { ...clientConfig(connection, { applicationName }), replication: "database" };
  const client = new pg.Client(config as pg.ClientConfig);
  client.on("error", () => {});
  try {
    await client.connect();
    const recovery = await client.query<{ standby: string }>("SELECT pg_is_in_recovery() AS standby");
    // Nothing of what follows would work there, and a slot that is synchronised from the primary would look lost.
    if (recovery.rows[0]?.standby === "t")
      throw new RejotError("POSTGRES_IS_STANDBY", { detail: serverName(connection) });
    const result = await client.query<{ systemid: string; timeline: string }>("IDENTIFY_SYSTEM");
    const row = result.rows[0];
    const timeline = Number(row?.timeline ?? 0);
    return { systemIdentifier: row?.systemid ?? "", timeline, history: await historyOf(client, timeline) };
  } catch (cause) {
    if (cause instanceof RejotError) throw cause;
    if (sqlState(cause) === "42501")
      throw new RejotError("ROLE_WITHOUT_REPLICATION", { detail: connection.user, cause });
    throw postgresError(cause, serverName(connection));
  } finally {
    await endPostgres(client);
  }
}

async function historyOf(client: pg.Client, timeline: number): Promise<SystemIdentity["history"]> {
  // The first timeline has no ancestors and no file.
  if (timeline <= 1) return new Map();
  try {
    const result = await client.query<{ content: string }>(`TIMELINE_HISTORY ${timeline}`);
    return parseTimelineHistory(result.rows[0]?.content ?? "");
  } catch (cause) {
    if (sqlState(cause) === UNDEFINED_FILE) return new Map();
    throw cause;
  }
}
