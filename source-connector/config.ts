import { z } from "zod";
import { integer, type Setting, type SettingValues } from "../shared/settings/settings.ts";

/** The start of the environment variables' names. */
export const SOURCE_PREFIX = "REJOT_SOURCE";

/** The settings of the source connector. What is between teams stands in the manifest instead. */
export const sourceSettings = {
  maxRows: {
    schema: integer(1, 100_000),
    default: 5_000,
    description: "Changes in one batch. Larger batches cost memory and win little above a few thousand.",
  },
  maxBytes: {
    schema: integer(1_024, 1_000_000_000),
    default: 8_000_000,
    description: "Bytes of WAL messages in one batch; whichever of this and max-rows is met first closes it.",
  },
  maxBufferedBytes: {
    schema: integer(1_024, 4_000_000_000),
    default: 32_000_000,
    description: "Bytes of WAL messages read ahead; reading pauses above, so memory stays bounded.",
  },
  transactionTimeoutMs: {
    schema: integer(1_000, 900_000),
    default: 900_000,
    description:
      "Milliseconds a Kafka transaction may stay open. A source transaction of millions of rows is one Kafka transaction, so this is the brokers' default limit (transaction.max.timeout.ms); one that a dead publisher left open ends when the next one takes over, not after this time.",
  },
  statementTimeoutMs: {
    schema: integer(0, 3_600_000),
    default: 60_000,
    description: "statement_timeout of the transformations in milliseconds; 0 is none.",
  },
  transformationRole: {
    schema: z.string(),
    default: undefined,
    description:
      "Role that transformations run as (SET ROLE), to give teams' SQL fewer rights than replication needs.",
  } as Setting<string | undefined>,
  heartbeatMs: {
    schema: integer(100, 3_600_000),
    default: 5_000,
    description:
      "Milliseconds without published changes after which a heartbeat goes through the WAL, so that the slot does not hold WAL back while other tables are busy.",
  },
  aliveMs: {
    schema: integer(100, 60_000),
    default: 1_000,
    description: "Milliseconds between two signs of life in the progress topic.",
  },
  takeoverMs: {
    schema: integer(500, 3_600_000),
    default: 8_000,
    description:
      "Milliseconds of silence after which a standby ends the connection of an active source and takes over.",
  },
  standbyPollMs: {
    schema: integer(50, 60_000),
    default: 500,
    description: "Milliseconds between two attempts of a standby to get the slot.",
  },
  registerSchemas: {
    schema: z.enum(["true", "false"]),
    default: "true",
    description:
      "Whether the source registers its schemas. With false the deploy does it (rejot-kafka schema register), and the source's account may only read the registry.",
  } as Setting<"true" | "false">,
  rowSecurity: {
    schema: z.enum(["refuse", "apply"]),
    default: "refuse",
    description:
      "What happens when row-level security would hide rows from the transformations' role: refuse stops, because hidden rows look like deleted ones; apply lets the policies decide what is public, also where a row is read from the WAL: there they are not asked.",
  } as Setting<"refuse" | "apply">,
  backfillChunkRows: {
    schema: integer(1, 100_000),
    default: 1_000,
    description:
      "Rows that a backfill reads at once, in one short transaction, and publishes together; max-bytes limits it too.",
  },
  backfillRowsPerSecond: {
    schema: integer(0, 10_000_000),
    default: 0,
    description: "Rows a second that a backfill reads at most; 0 is no limit.",
  },
  backfillPollMs: {
    schema: integer(50, 60_000),
    default: 1_000,
    description: "Milliseconds between two looks for commands about backfills in the progress topic.",
  },
  onSlotLost: {
    schema: z.enum(["stop", "rebuild"]),
    default: "stop",
    description:
      "What happens when changes are missing, because the slot is gone, invalidated or was moved, or the database was replaced: stop, or rebuild, which goes on with a new slot, publishes all rows again, and a tombstone for every key that is gone. A data store's onSlotLost comes before it.",
  } as Setting<"stop" | "rebuild">,
  onTruncate: {
    schema: z.enum(["stop", "ignore", "tombstone"]),
    default: "stop",
    description:
      "What a TRUNCATE of a published table does, which names no rows: stop, ignore it, or publish a tombstone for every key that the topics hold, where all objects of a public schema come from the truncated tables (else it stops).",
  } as Setting<"stop" | "ignore" | "tombstone">,
} satisfies Record<string, Setting<unknown>>;

/** The values of the source connector's settings. */
export type SourceConfig = SettingValues<typeof sourceSettings>;
