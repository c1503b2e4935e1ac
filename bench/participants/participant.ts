import type { Stack } from "../../compose/dev-stack/stack.ts";
import type { WrittenDatabase } from "../workload/postgres-workload.ts";

/** What a source promises of its events in the topic. */
export type Delivery = "exactly-once" | "at-least-once";

/** What all participants run on. */
export interface Ground {
  readonly stack: Stack;
  /** For configuration files and logs; it goes away with the stack. */
  readonly directory: string;
}

/** One measurement of a source. */
export interface SourceTask {
  /** Letters, digits and underscores; no other run has it. */
  readonly run: string;
  readonly database: WrittenDatabase;
  readonly slot: string;
  readonly delivery: Delivery;
}

/** One measurement of a sink. */
export interface SinkTask {
  readonly run: string;
  /** Run whose topic, written by our source, is applied. */
  readonly publishedBy: string;
  /** Name of a database with an empty accounts table. */
  readonly destination: string;
}

/** A participant's process. */
export interface RunningParticipant {
  readonly pid: number;
  /** When its process was started, on the clock of performance.now(). */
  readonly startedAtMs: number;
  /** Why it does not work any more, if that is so. */
  failure(): Promise<string | undefined>;
  /** Ends the process. */
  stop(): Promise<void>;
}

/** A bridge that is measured. Its methods resolve when the process has been told all it needs, not when it works. */
export interface Participant {
  readonly name: "rejot-kafka" | "debezium";
  /** The topic that a run of its source writes the accounts to. */
  topicOf(run: string): string;
  startSource(task: SourceTask): Promise<RunningParticipant>;
  startSink(task: SinkTask): Promise<RunningParticipant>;
}
