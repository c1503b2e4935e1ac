import { connectPostgres } from "../../../shared/postgres/client.ts";
import { type Fault, until } from "../harness/fault.ts";
import { ownPostgres } from "../harness/own-postgres.ts";
import { noSmallDisk, smallDisk } from "../harness/small-disk.ts";
import { insertRows } from "../harness/tables.ts";

const DISK_MB = 24;

const diskFull: Fault = {
  id: "destination-disk-full",
  group: "5. Postgres",
  title: "the disk of the destination's tables is full for some seconds",
  missing: noSmallDisk,
  async servers(shared, resources) {
    const disk = resources.use(await smallDisk(DISK_MB));
    const servers = await ownPostgres(shared, resources, "destination");
    const client = await connectPostgres(
      {
        connectionType: "postgres",
        database: "postgres",
        ...(servers.destinationPostgres ?? servers.postgres),
      },
      { applicationName: "test" },
    );
    // Its directory must belong to the server's user, so the server makes it itself.
    await client.query(`COPY (SELECT) TO PROGRAM 'mkdir ${disk.directory}/tables'`);
    await client.query(`CREATE TABLESPACE small LOCATION '${disk.directory}/tables'`);
    await client.end();
    return { ...servers, own: { ...servers.own, disk } };
  },
  options: () => ({
    destinationSql: `ALTER TABLE items SET TABLESPACE small; ALTER TABLE tally SET TABLESPACE small;
      ALTER INDEX items_pkey SET TABLESPACE small; ALTER INDEX tally_pkey SET TABLESPACE small`,
  }),
  async run({ pipeline, servers, random, last }) {
    const { disk } = servers.own ?? {};
    const { sink } = pipeline;
    await disk?.fill();
    await pipeline.database.query(insertRows(1_000, 10_000, "x".repeat(200)));
    const isNamed = async () =>
      (await sink?.status())?.units[0]?.lastError?.message.includes("No space left") === true;
    await until(isNamed, 30_000, "the sink to say that there is no space");
    await last(random.int(1_000, 6_000));
    if ((await sink?.status())?.units[0]?.role !== "retrying")
      throw new Error("the sink does not say retrying");
    await disk?.clear();
    const caughtUp = async () => {
      const [row] = await pipeline.destination.query(
        "SELECT count(*) AS n FROM items WHERE id BETWEEN 1001 AND 11000",
      );
      return row?.n === "10000";
    };
    await until(caughtUp, 60_000, "the sink to go on");
    if (sink?.running !== true) throw new Error(`the sink has ended:\n${sink?.logTail()}`);
  },
};

/** Trouble with disks. */
export const DISK: readonly Fault[] = [diskFull];
