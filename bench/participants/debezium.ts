import { registerAccountSchemas } from "../peers/account-schemas.ts";
import { startWorker } from "../peers/connect-worker.ts";
import type { PeerFiles } from "../peers/downloads.ts";
import { PUBLICATION } from "../workload/postgres-workload.ts";
import type { Ground, Participant, SinkTask, SourceTask } from "./participant.ts";
import { topicOfRun } from "./rejot-manifests.ts";

/** Debezium's Postgres source and JDBC sink, each alone in a Kafka Connect worker. */
export function debezium(ground: Ground, java: string, peers: PeerFiles): Participant {
  const { stack, directory } = ground;
  const worker = { directory, java, peers, brokers: stack.kafka.brokers, registryUrl: stack.registry.url };
  return {
    name: "debezium",
    topicOf: (run) => `${run}.public.accounts`,
    async startSource(task) {
      await registerAccountSchemas(worker.registryUrl, task.run);
      return startWorker({
        ...worker,
        kind: "source",
        run: task.run,
        exactlyOnce: task.delivery === "exactly-once",
        connector: sourceConnector(ground, task),
      });
    },
    startSink: (task) =>
      startWorker({
        ...worker,
        kind: "sink",
        run: task.run,
        exactlyOnce: false,
        connector: sinkConnector(ground, task),
      }),
  };
}

/**
 * A transaction every half second. Its default, one for every poll, was a third slower on this work; ours commits
 * every batch.
 */
const EXACTLY_ONCE = {
  "exactly.once.support": "required",
  "transaction.boundary": "interval",
  "transaction.boundary.interval.ms": "500",
};

/** Streams only, from the slot as it is; one flat record a change, a tombstone for a delete, as ours writes. */
function sourceConnector({ stack }: Ground, task: SourceTask): Record<string, string> {
  const { host, port, user, password } = stack.postgres;
  return {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "tasks.max": "1",
    "database.hostname": host,
    "database.port": String(port),
    "database.user": user,
    "database.password": password,
    "database.dbname": task.database.name,
    "plugin.name": "pgoutput",
    "slot.name": task.slot,
    "publication.name": PUBLICATION,
    "publication.autocreate.mode": "disabled",
    "table.include.list": "public.accounts",
    "topic.prefix": task.run,
    "snapshot.mode": "no_data",
    "decimal.handling.mode": "string",
    "schema.name.adjustment.mode": "avro",
    "tombstones.on.delete": "false",
    transforms: "unwrap",
    "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.unwrap.delete.tombstone.handling.mode": "delete-to-tombstone",
    "max.batch.size": "8192",
    "max.queue.size": "32768",
    "poll.interval.ms": "10",
    "producer.override.batch.size": "262144",
    "producer.override.linger.ms": "5",
    ...(task.delivery === "exactly-once" ? EXACTLY_ONCE : {}),
  };
}

function sinkConnector({ stack }: Ground, task: SinkTask): Record<string, string> {
  const { host, port, user, password } = stack.postgres;
  return {
    "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
    "tasks.max": "1",
    topics: topicOfRun(task.publishedBy),
    "connection.url": `jdbc:postgresql://${host}:${port}/${task.destination}`,
    "connection.username": user,
    "connection.password": password,
    "collection.name.format": "accounts",
    "insert.mode": "upsert",
    "delete.enabled": "true",
    "primary.key.mode": "record_key",
    "schema.evolution": "none",
    "use.reduction.buffer": "true",
    "batch.size": "1000",
    "dialect.postgres.unnest.insert.enabled": "true",
    "consumer.override.max.poll.records": "5000",
  };
}
