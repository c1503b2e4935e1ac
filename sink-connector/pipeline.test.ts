import { describe, expect, test } from "vitest";
import { RejotError } from "../shared/errors/error.ts";
import { HeldTopics } from "./consumer/held-topics.ts";
import { runPipeline } from "./pipeline.ts";
import { type EventRun, type FeedItem, partitionName, type TopicPartition } from "./ports.ts";

const poisoned = (
  topic: string,
  code: "SINK_EVENT_FAILED" | "REGISTRY_REFUSED" = "SINK_EVENT_FAILED",
  consumerSchema?: string,
) =>
  new RejotError(code, {
    context: { topic, partition: 0, offset: 7, ...(consumerSchema === undefined ? {} : { consumerSchema }) },
  });

const runOf = (topic: string): EventRun => ({ topic, partition: 0, events: [], endOffset: 8, bytes: 0 });

/** A destination of these topics, of which this process has some partitions, and whose events all fail. */
function stagesOf(
  topics: readonly string[],
  own: readonly TopicPartition[],
  shared: readonly string[] = [],
  consumers: readonly { name: string; topic: string }[] = topics.map((topic) => ({
    name: `of-${topic}`,
    topic,
  })),
  holds = new HeldTopics(),
) {
  const held: string[] = [];
  const revisited: string[] = [];
  const owned = new Set(own.map(partitionName));
  let failing: RejotError;
  const run = (...errors: RejotError[]): Promise<void> => {
    async function* items(): AsyncGenerator<FeedItem> {
      for (const error of errors) {
        failing = error;
        yield { kind: "events", runs: [runOf(String(error.context.topic))] };
      }
    }
    return runPipeline({
      topics,
      consumers,
      feed: {
        [Symbol.asyncIterator]: items,
        owns: (partition) => owned.has(partitionName(partition)),
        ownsAllOf: (topic) => own.some((p) => p.topic === topic) && !shared.includes(topic),
        hold: (topic) => held.push(topic),
        revisit: (topic, consumer) => revisited.push(`${topic} ${consumer}`),
        examine: async () => {},
        place: () => {},
        displace: () => {},
        report: () => {},
      },
      destination: {
        progress: async () => [],
        write: async () => "applied",
        rehearse: async () => undefined,
      },
      applier: { place: () => {}, apply: () => Promise.reject(failing) },
      holds,
      observer: { applied: () => {}, displaced: () => {}, placed: () => {}, held: () => {} },
    });
  };
  return { run, held, revisited, holds };
}

const p0 = (topic: string): TopicPartition => ({ topic, partition: 0 });

describe("an event that stops its topic", () => {
  test("ends the pipeline when nothing is left to do", async () => {
    const { run } = stagesOf(["a"], [p0("a")]);
    await expect(run(poisoned("a"))).rejects.toMatchObject({ code: "SINK_EVENT_FAILED" });
  });

  test("holds up its topic alone, until all others stand still as well", async () => {
    const { run, held } = stagesOf(["a", "b"], [p0("a"), p0("b")]);
    await run(poisoned("a"));
    expect(held).toEqual(["a"]);
    await expect(run(poisoned("b"))).rejects.toMatchObject({ context: { topic: "b" } });
  });

  test("waits for a topic that another member has, or that does not exist yet: it may bring what is missing", async () => {
    const { run, held } = stagesOf(["a", "elsewhere"], [p0("a")]);
    await run(poisoned("a"), poisoned("a"));
    expect(held).toEqual(["a", "a"]);
  });

  test("waits for partitions of its topic that another member has", async () => {
    const { run, held } = stagesOf(["a"], [p0("a")], ["a"]);
    await run(poisoned("a"));
    expect(held).toEqual(["a"]);
  });

  test("waits for a topic that stands still for a while only", async () => {
    const { run, holds } = stagesOf(["a", "b"], [p0("a"), p0("b")]);
    holds.hold(p0("a"), poisoned("a", "REGISTRY_REFUSED"));
    await run(poisoned("b"));
  });

  test("holds up its consumer schema alone, until no other of the topic is left", async () => {
    const readers = [...["x", "y"].map((name) => ({ name, topic: "a" })), { name: "z", topic: "b" }];
    const { run, held, revisited } = stagesOf(["a", "b"], [p0("a"), p0("b")], [], readers);
    await run(poisoned("a", "SINK_EVENT_FAILED", "x"));
    expect([revisited, held]).toEqual([["a x"], []]);
    await run(poisoned("a", "SINK_EVENT_FAILED", "y"));
    expect([revisited, held]).toEqual([["a x", "a y"], ["a"]]);
  });

  test("does not hold up one whose time to be tried has come, whatever stood still before", async () => {
    const readers = ["x", "y"].map((name) => ({ name, topic: "a" }));
    let nowMs = 0;
    const { run, held, revisited, holds } = stagesOf(
      ["a", "elsewhere"],
      [p0("a")],
      [],
      readers,
      new HeldTopics(
        () => 1,
        () => nowMs,
      ),
    );
    holds.hold({ ...p0("a"), offset: 100 }, poisoned("a", "REGISTRY_REFUSED"));
    await run(poisoned("a", "SINK_EVENT_FAILED", "y"));
    nowMs = 5_000;
    await run(poisoned("a", "SINK_EVENT_FAILED", "x"));
    expect([revisited, held]).toEqual([["a y", "a x"], []]);
    await run(poisoned("a", "SINK_EVENT_FAILED", "y"));
    expect(held).toEqual(["a"]);
  });

  test("is tried again where the destination has moved since the others stood still", async () => {
    const readers = ["x", "y"].map((name) => ({ name, topic: "a" }));
    let nowMs = 0;
    const holds = new HeldTopics(
      () => 1,
      () => nowMs++,
    );
    const { run } = stagesOf(["a"], [p0("a")], [], readers, holds);
    await run(poisoned("a", "SINK_EVENT_FAILED", "x"));
    holds.moved([]);
    await run(poisoned("a", "SINK_EVENT_FAILED", "y"));
    await expect(run(poisoned("a", "SINK_EVENT_FAILED", "x"))).rejects.toMatchObject({
      context: { consumerSchema: "x" },
    });
  });

  test("of the last consumer schema that could go on ends the pipeline", async () => {
    const readers = ["x", "y"].map((name) => ({ name, topic: "a" }));
    const { run, revisited } = stagesOf(["a"], [p0("a")], [], readers);
    await run(poisoned("a", "SINK_EVENT_FAILED", "x"), poisoned("a", "SINK_EVENT_FAILED", "x"));
    expect(revisited).toEqual(["a x", "a x"]);
    await expect(run(poisoned("a", "SINK_EVENT_FAILED", "y"))).rejects.toMatchObject({
      context: { consumerSchema: "y" },
    });
  });

  test("is nothing to a process whose partition was given to another meanwhile", async () => {
    const { run, held, holds } = stagesOf(["a"], []);
    await run(poisoned("a"));
    expect([held, holds.all]).toEqual([[], []]);
  });
});

test("an error that no topic is to blame for ends the pipeline", async () => {
  const { run } = stagesOf(["a", "b"], [p0("a")]);
  await expect(run(new RejotError("POSTGRES_UNREACHABLE"))).rejects.toMatchObject({
    code: "POSTGRES_UNREACHABLE",
  });
});
