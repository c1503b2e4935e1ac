import { z } from "zod";
import { integer, type Setting, type SettingValues } from "../shared/settings/settings.ts";

/** The start of the environment variables' names. */
export const SINK_PREFIX = "REJOT_SINK";

/** The settings of the sink connector. What is between teams stands in the manifest instead. */
export const sinkSettings = {
  maxRows: {
    schema: integer(1, 100_000),
    default: 5_000,
    description:
      "Events applied in one transaction. Larger batches hold locks for longer and win little above a few thousand.",
  },
  maxBytes: {
    schema: integer(1_024, 1_000_000_000),
    default: 16_000_000,
    description: "Bytes of keys and values in one transaction; whichever of this and max-rows is met first.",
  },
  maxBufferedRows: {
    schema: integer(1, 1_000_000),
    default: 20_000,
    description: "Events read ahead of each destination; reading pauses above, so memory stays bounded.",
  },
  maxBufferedBytes: {
    schema: integer(1_024, 4_000_000_000),
    default: 32_000_000,
    description: "Bytes of keys and values read ahead of each destination.",
  },
  sessionTimeoutMs: {
    schema: integer(1_000, 3_600_000),
    default: 6_000,
    description:
      "Milliseconds of silence after which the group gives a sink's partitions to others: how long a killed sink is missed. Brokers allow 6,000 and more unless told otherwise.",
  },
  rebalanceTimeoutMs: {
    schema: integer(1_000, 3_600_000),
    default: 15_000,
    description: "Milliseconds that the members of a group have to join again when it changes.",
  },
  heartbeatMs: {
    schema: integer(100, 600_000),
    default: 1_500,
    description: "Milliseconds between heartbeats to the group; a quarter of the session timeout or less.",
  },
  fetchMaxWaitMs: {
    schema: integer(10, 30_000),
    default: 250,
    description:
      "Milliseconds that a broker holds a fetch when there is nothing new; new events end the wait.",
  },
  fetchMaxBytes: {
    schema: integer(1_024, 1_000_000_000),
    default: 10_000_000,
    description: "Bytes of one fetch from one broker.",
  },
  topicPollMs: {
    schema: integer(100, 3_600_000),
    default: 2_000,
    description:
      "Milliseconds between looks for topics that do not exist yet, because their source has not run.",
  },
  metadataMaxAgeMs: {
    schema: integer(1_000, 3_600_000),
    default: 30_000,
    description: "Milliseconds after which new partitions of a topic are noticed.",
  },
  lockTimeoutMs: {
    schema: integer(0, 3_600_000),
    default: 30_000,
    description:
      "lock_timeout at the destination in milliseconds: a lock held for longer shows as a retry instead of as silence; 0 waits for ever.",
  },
  applyTimeoutMs: {
    schema: integer(1_000, 3_600_000),
    default: 300_000,
    description:
      "Milliseconds after which a batch without an answer is written again on a new connection, in halves: the server may be gone without a word, or the batch too large for it.",
  },
  registerConsumers: {
    schema: z.enum(["true", "false"]),
    default: "true",
    description:
      "Whether the sink tells the registry which fields its consumer schemas use, for the publishers' check. With false CI does it (rejot-kafka schema register-consumers), and the sink's account may only read the registry.",
  } as Setting<"true" | "false">,
} satisfies Record<string, Setting<unknown>>;

/** The values of the sink connector's settings. */
export type SinkConfig = SettingValues<typeof sinkSettings>;
