import type { TopicReader } from "../measure/kafka-topic.ts";
import { readUsage } from "../measure/process-usage.ts";
import { arrivalOf, type TopicSample } from "../measure/timeline.ts";
import type { Participant, RunningParticipant, SourceTask } from "../participants/participant.ts";
import { type Figures, figuresOf } from "../report/measurement.ts";
import { sameContent } from "../workload/content.ts";
import { watch } from "./watch.ts";

const POLL_MS = 20;
const READ_TIMEOUT_MS = 30_000;
/** A topic that may be complete is read after this time without anything new. */
const QUIET_MS = 1_500;

/**
 * Measures one source on a backlog: from the start of its process until every change can be read in the topic, which
 * must exist and be empty. Throws when it fails or when the topic's content is wrong.
 */
export async function runSource(
  participant: Participant,
  task: SourceTask,
  reader: TopicReader,
  signal: AbortSignal,
): Promise<Figures> {
  const running = await participant.startSource(task);
  try {
    return await observe(running, participant.topicOf(task.run), task, reader, signal);
  } finally {
    await running.stop();
  }
}

async function observe(
  running: RunningParticipant,
  topic: string,
  task: SourceTask,
  reader: TopicReader,
  signal: AbortSignal,
): Promise<Figures> {
  const samples: TopicSample[] = [];
  const events = task.database.changes;
  for (;;) {
    await untilQuiet(running, topic, events, samples, reader, signal);
    const content = await reader.read(topic, signal);
    // Markers of transactions take offsets, so there may be fewer records than offsets, and more to come.
    if (content.records < events) continue;
    const arrival = arrivalOf(samples, content.offsets);
    if (arrival === undefined) continue;
    if (content.records > events && task.delivery === "exactly-once")
      throw new Error(`${content.records} records for ${events} changes`);
    if (!sameContent(content.content, task.database.content))
      throw new Error(
        `the topic holds ${content.content.rows} rows that are not the ${task.database.content.rows} of the source`,
      );
    return figuresOf({ events, startedAtMs: running.startedAtMs, ...arrival });
  }
}

/** Takes samples until as many offsets as events are there and nothing has come for a while. */
async function untilQuiet(
  running: RunningParticipant,
  topic: string,
  events: number,
  samples: TopicSample[],
  reader: TopicReader,
  signal: AbortSignal,
): Promise<void> {
  let quietSinceMs = performance.now();
  const offsetsSeen = (): number => samples.at(-1)?.ends.reduce((sum, end) => sum + end, 0) ?? 0;
  const describe = (): string => `${offsetsSeen()} offsets for ${events} events`;
  await watch(running, { pollMs: POLL_MS, signal, describe }, async () => {
    const [ends, usage] = await Promise.all([
      reader.ends(topic, AbortSignal.timeout(READ_TIMEOUT_MS)),
      readUsage(running.pid),
    ]);
    const atMs = performance.now();
    const before = samples.at(-1)?.ends;
    if (before === undefined || ends.some((end, p) => end !== before[p])) {
      samples.push({ atMs, ends, usage });
      quietSinceMs = atMs;
    }
    return offsetsSeen() >= events && atMs - quietSinceMs > QUIET_MS ? true : undefined;
  });
}
