import type { ConnectorStatus } from "../../../shared/http/status.ts";
import { REBUILD_KEY } from "../../../shared/kafka/rebuild-record.ts";
import { readTopic } from "../../support/kafka.ts";
import { type Fault, type FaultContext, until, untilEqual, type Verdict } from "../harness/fault.ts";
import { type Complaints, checkPlaces, checkVerify, compareCopies } from "../harness/oracle.ts";
import { ownPostgres } from "../harness/own-postgres.ts";
import type { Pipeline } from "../harness/pipeline.ts";

const GROUP = "13. Missing changes, rebuilt";
const RECOVERY_MS = 120_000;
const SOURCE_ARGS = ["--on-slot-lost", "rebuild", "--backfill-chunk-rows", "10"];

/** Copies are equal and no position is there twice; which events made them so cannot be what the source has counted. */
async function judge({ pipeline }: FaultContext): Promise<Verdict> {
  const verdict = await untilEqual(pipeline, RECOVERY_MS, async () => [
    ...(await calm(pipeline)),
    ...(await compareCopies(pipeline)),
  ]);
  if (verdict.complaints.length > 0) return verdict;
  const complaints = [
    ...(await checkPlaces(pipeline)),
    ...(await checkRebuilt(pipeline)),
    ...(await checkVerify(pipeline)),
    ...(await compareCopies(pipeline)),
  ];
  return { ...verdict, complaints };
}

async function checkRebuilt({ progressTopic, servers }: Pipeline): Promise<Complaints> {
  const records = await readTopic(progressTopic, { brokers: servers.brokers, registryUrl: null });
  const isRebuilt = records.some(({ rawKey }) => rawKey?.toString() === REBUILD_KEY);
  return isRebuilt ? [] : ["nothing was rebuilt"];
}

async function calm({ source }: Pipeline): Promise<Complaints> {
  const status: ConnectorStatus | undefined = await source?.status();
  const unit = status?.units[0];
  if (unit?.role === "active" && unit.rebuilding === undefined && unit.lastError === null) return [];
  return [`the source is not through: ${JSON.stringify(unit)}`];
}

async function dropSlot({ database, slotName }: Pipeline): Promise<void> {
  const drop = async () => {
    await database.query(
      "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1",
      [slotName],
    );
    // It may not be there yet, after the last time.
    await database.query(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
      [slotName],
    );
    return true;
  };
  await until(drop, 20_000, "the slot to be dropped");
}

const dropped: Fault = {
  id: "rebuild-slot-dropped",
  group: GROUP,
  title: "the slot is dropped under load, twice, and changes go on while nobody streams them",
  options: () => ({ sourceArgs: SOURCE_ARGS }),
  judge,
  replacesSlot: true,
  async run({ pipeline, random, last }) {
    for (let i = 0; i < 2; i++) {
      await pipeline.source?.kill("SIGKILL");
      await dropSlot(pipeline);
      await last(random.int(0, 2_000));
      await pipeline.keepAlive();
      await last(random.int(0, 4_000));
    }
  },
};

const killed: Fault = {
  id: "rebuild-killed",
  group: GROUP,
  title:
    "the slot is dropped under load, and source, standby and sink are killed again and again while all is rebuilt",
  options: () => ({ sourceArgs: SOURCE_ARGS }),
  judge,
  replacesSlot: true,
  async run({ pipeline, random, last }) {
    await dropSlot(pipeline);
    for (let i = 0; i < 4; i++) {
      await last(random.int(0, 2_500));
      const first = pipeline.source;
      if (random.chance(0.5)) await pipeline.start("source");
      await last(random.int(0, 1_500));
      await first?.kill("SIGKILL");
      if (random.chance(0.5)) await pipeline.sink?.kill("SIGKILL");
      await pipeline.keepAlive();
    }
  },
};

const invalidated: Fault = {
  id: "rebuild-slot-invalidated",
  group: GROUP,
  title: "the source hangs until the server has invalidated its slot (max_slot_wal_keep_size), and wakes",
  options: () => ({ sourceArgs: SOURCE_ARGS }),
  servers: (shared, resources) =>
    ownPostgres(shared, resources, "source", {
      settings: { max_slot_wal_keep_size: "32MB", wal_keep_size: "0", min_wal_size: "32MB" },
    }),
  judge,
  replacesSlot: true,
  async run({ pipeline, random, last }) {
    const { database, slotName } = pipeline;
    await database.query("CREATE TABLE elsewhere (filler text)");
    pipeline.source?.signal("SIGSTOP");
    const isLost = async () => {
      await database.query(
        "INSERT INTO elsewhere SELECT repeat(md5(i::text), 30) FROM generate_series(1, 24000) i",
      );
      await database.query("CHECKPOINT");
      const [slot] = await database.query(
        "SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1",
        [slotName],
      );
      return slot?.wal_status === "lost";
    };
    await until(isLost, 60_000, "the slot to be invalidated");
    await last(random.int(0, 1_000));
    pipeline.source?.signal("SIGCONT");
    await last(random.int(0, 3_000));
  },
};

/** Changes are missing, and the source is told to make up for them. */
export const REBUILD: readonly Fault[] = [dropped, killed, invalidated];
