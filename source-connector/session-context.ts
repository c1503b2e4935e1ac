import { randomUUID } from "node:crypto";
import type { RejotError } from "../shared/errors/error.ts";
import { createKafka, type Kafka } from "../shared/kafka/kafka-client.ts";
import { progressTopic } from "../shared/kafka/naming.ts";
import type { SessionControl } from "../shared/lifecycle/supervisor.ts";
import type { ResolvedSource } from "../shared/manifest/workspace.ts";
import type { Logger } from "../shared/observability/logger.ts";
import type { SourceConfig } from "./config.ts";
import { TransactionAssembler } from "./transaction-assembler/assembler.ts";
import { BatchBuffer } from "./transaction-assembler/batch-buffer.ts";
import type { UnitState } from "./unit-state.ts";

/** What sessions of a data store tell those that follow. */
export interface SessionMemory {
  /** The commit LSN of the progress that is not in the server's history, and what showed it. */
  foreign: { readonly commitLsn: string; readonly error: RejotError } | undefined;
}

/** What a session is made from. */
export interface SessionOptions {
  readonly source: ResolvedSource;
  readonly config: SourceConfig;
  readonly state: UnitState;
  /** Of this process. */
  readonly instance: string;
  readonly log: Logger;
  readonly control: SessionControl;
  readonly memory: SessionMemory;
  readonly settled: () => void;
}

/** What all parts of a session work with. */
export interface SessionContext extends SessionOptions {
  /** By which this data store's connections are known at the server. */
  readonly applicationName: string;
  readonly progressTopic: string;
  readonly kafka: Kafka;
  readonly buffer: BatchBuffer;
  /** Unique for this attempt: what is fenced must not be mistaken for what fences. */
  readonly claim: string;
}

/** Connects to nothing yet. */
export function createContext(options: SessionOptions): SessionContext {
  const { source, config, instance, log } = options;
  const tellIgnored = (tables: string): void =>
    log.warn({ tables }, "a TRUNCATE is ignored: what it removed stays in the topics");
  return {
    ...options,
    applicationName: `rejot-source ${source.manifestSlug} ${source.dataStoreSlug}`,
    progressTopic: progressTopic(
      source.eventStore.topicPrefix ?? "",
      source.manifestSlug,
      source.dataStoreSlug,
    ),
    kafka: createKafka(source.eventStore, { clientId: `rejot-source-${source.manifestSlug}`, logger: log }),
    buffer: new BatchBuffer(new TransactionAssembler(config, config.onTruncate, tellIgnored), config),
    claim: `${instance}.${randomUUID().slice(0, 8)}`,
  };
}
