import { chown, cp, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { copyDataDirectory, type OwnPostgres, startOwnPostgres } from "./own-postgres.ts";

/** The physical slot that a standby streams from. */
const SLOT = "standby";

/** Settings of a primary that sends to logical slots nothing that the standby lacks. */
export const PRIMARY_SETTINGS = { synchronized_standby_slots: SLOT };

/**
 * Starts a standby of the server: a base backup by file copy, streaming through a physical slot. With `synchronised`
 * it keeps copies of the primary's logical slots that allow it.
 */
export async function startStandby(
  primary: OwnPostgres,
  options: { synchronised: boolean; port: number },
): Promise<OwnPostgres> {
  const settings = {
    hot_standby_feedback: "on",
    ...(options.synchronised ? { sync_replication_slots: "on" } : {}),
  };
  return startOwnPostgres(settings, {
    port: options.port,
    initialize: (data) => baseBackup(primary, data),
  });
}

/** As pg_basebackup does it, which the servers of the tests do not bring. */
async function baseBackup(primary: OwnPostgres, data: string): Promise<void> {
  const client = new pg.Client({ connectionString: primary.server.url() });
  await client.connect();
  try {
    await client.query("SELECT pg_create_physical_replication_slot($1, true)", [SLOT]);
    await client.query("SELECT pg_backup_start('standby', true)");
    await copyDataDirectory(primary.dataDirectory, data);
    const { rows } = await client.query<{ labelfile: string }>("SELECT labelfile FROM pg_backup_stop(false)");
    for (const name of ["postmaster.pid", "postmaster.opts"]) await rm(join(data, name), { force: true });
    // Slots are not part of a backup.
    await rm(join(data, "pg_replslot"), { recursive: true });
    await cp(join(primary.dataDirectory, "pg_twophase"), join(data, "pg_replslot"), { recursive: true });
    const { uid, gid } = await stat(data);
    await chown(join(data, "pg_replslot"), uid, gid);
    const { host, port, user, password } = primary.server;
    const conninfo = `host=${host} port=${port} user=${user} password=${password} dbname=postgres`;
    const written = {
      backup_label: rows[0]?.labelfile ?? "",
      "standby.signal": "",
      "postgresql.auto.conf": `primary_conninfo = '${conninfo}'\nprimary_slot_name = '${SLOT}'\n`,
    };
    for (const [name, content] of Object.entries(written)) {
      await writeFile(join(data, name), content);
      await chown(join(data, name), uid, gid);
    }
  } finally {
    await client.end();
  }
}
