import { describe, expect, test } from "vitest";
import type { Lsn } from "../shared/postgres/lsn.ts";
import { runPipeline, type Stages } from "./pipeline.ts";
import type { Batch, EncodedEvent, TextEvent } from "./ports.ts";

/** A batch of one transaction, or of a piece of it. */
function batchOf(lsn: number, ends = true): Batch {
  const end = ends ? (BigInt(lsn + 1) as Lsn) : null;
  return [{ xid: lsn, commitLsn: BigInt(lsn) as Lsn, commitTimeMs: lsn, changes: [], endLsn: end, bytes: 0 }];
}

/** Stages that write down what they do; `fail` names the step that throws, like "publish 20". */
function stagesOf(batches: readonly Batch[], options: { fail?: string; failAtEnd?: boolean } = {}) {
  const log: string[] = [];
  const step = async (what: string, lsn: unknown): Promise<void> => {
    const text = `${what} ${lsn}`;
    log.push(text);
    await new Promise((resolve) => setImmediate(resolve));
    if (text === options.fail) throw new Error(text);
    log.push(`${text} done`);
  };
  const stages: Stages = {
    source: {
      async *batches() {
        yield* batches;
        if (options.failAtEnd === true) throw new Error("source");
      },
    },
    transformer: {
      async transform(batch) {
        await step("transform", batch[0]?.commitLsn);
        return [{ commitTimeMs: Number(batch[0]?.commitLsn) }] as TextEvent[];
      },
      number: () => 0,
    },
    truncation: {
      topics: () => [],
      async *tombstones({ commitLsn }) {
        await step("truncate", commitLsn);
        for (const _portion of [1, 2]) yield [{ timestampMs: Number(commitLsn) }] as EncodedEvent[];
      },
    },
    encoder: {
      async encode(events) {
        await step("encode", events[0]?.commitTimeMs);
        return events.map(({ commitTimeMs }) => ({ timestampMs: commitTimeMs })) as EncodedEvent[];
      },
    },
    interleaver: { merge: (_batch, events) => ({ events, notes: [] }), emptied: () => {} },
    publisher: {
      publish: (events, progress) => step(progress === null ? "append" : "publish", events[0]?.timestampMs),
    },
    stream: { confirm: (endLsn) => log.push(`confirm ${endLsn}`) },
    onPublished: (_batch, events, progress) =>
      log.push(`told ${events} ${progress === null ? "open" : progress.commitLsn}`),
  };
  return { stages, log };
}

const confirmed = (log: readonly string[]) => log.filter((line) => line.startsWith("confirm"));

describe("runPipeline", () => {
  test("each batch is published in its turn, and confirmed only when that is done", async () => {
    const { stages, log } = stagesOf([batchOf(10), batchOf(20), batchOf(30)]);
    await runPipeline(stages);
    expect(log.filter((line) => /^(publish|confirm|told)/.test(line))).toEqual([
      "publish 10",
      "publish 10 done",
      "confirm 11",
      "told 1 10",
      "publish 20",
      "publish 20 done",
      "confirm 21",
      "told 1 20",
      "publish 30",
      "publish 30 done",
      "confirm 31",
      "told 1 30",
    ]);
  });

  test("the next batch is transformed while one is published", async () => {
    const { stages, log } = stagesOf([batchOf(10), batchOf(20)]);
    await runPipeline(stages);
    expect(log.indexOf("transform 20")).toBeLessThan(log.indexOf("publish 10 done"));
    expect(log.indexOf("publish 20")).toBeGreaterThan(log.indexOf("publish 10 done"));
  });

  test("what a TRUNCATE takes out of the topics is asked for when all before it is published", async () => {
    const truncate: Batch = [{ ...(batchOf(20, false)[0] as Batch[number]), truncated: [] }];
    const { stages, log } = stagesOf([batchOf(10), truncate, batchOf(20)]);
    await runPipeline(stages);
    expect(log.indexOf("truncate 20")).toBeGreaterThan(log.indexOf("confirm 11"));
    expect(log.slice(log.indexOf("truncate 20 done"))).toEqual([
      "truncate 20 done",
      "append 20",
      "append 20 done",
      "append 20",
      "append 20 done",
      "told 2 open",
      "transform 20",
      "transform 20 done",
      "encode 20",
      "encode 20 done",
      "publish 20",
      "publish 20 done",
      "confirm 21",
      "told 1 20",
    ]);
  });

  test("pieces of a large transaction are confirmed with its end only", async () => {
    const { stages, log } = stagesOf([batchOf(10, false), batchOf(10, false), batchOf(10)]);
    await runPipeline(stages);
    expect(log.filter((line) => /^(append|publish|confirm|told)/.test(line))).toEqual([
      "append 10",
      "append 10 done",
      "told 1 open",
      "append 10",
      "append 10 done",
      "told 1 open",
      "publish 10",
      "publish 10 done",
      "confirm 11",
      "told 1 10",
    ]);
  });

  test.each(["transform 20", "encode 20"])(
    "a failure to %s ends it; what was published before is confirmed",
    async (fail) => {
      const { stages, log } = stagesOf([batchOf(10), batchOf(20), batchOf(30)], { fail });
      await expect(runPipeline(stages)).rejects.toThrow(fail);
      expect(log).not.toContain("publish 20");
      expect(log).not.toContain("transform 30");
      await expect.poll(() => confirmed(log)).toEqual(["confirm 11"]);
    },
  );

  test("a failure to publish ends it, though the next batch is transformed; nothing past it is published or confirmed", async () => {
    const { stages, log } = stagesOf([batchOf(10), batchOf(20), batchOf(30), batchOf(40)], {
      fail: "publish 20",
    });
    await expect(runPipeline(stages)).rejects.toThrow("publish 20");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(confirmed(log)).toEqual(["confirm 11"]);
    expect(log).not.toContain("publish 30");
    expect(log).not.toContain("transform 40");
  });

  test("a failure to publish the last batch is not lost", async () => {
    const { stages, log } = stagesOf([batchOf(10)], { fail: "publish 10" });
    await expect(runPipeline(stages)).rejects.toThrow("publish 10");
    expect(confirmed(log)).toEqual([]);
  });

  test("a failure to publish wins over a transformation that never ends", async () => {
    const { stages, log } = stagesOf([batchOf(10), batchOf(20)], { fail: "publish 10" });
    const { transform } = stages.transformer;
    stages.transformer.transform = (batch) =>
      batch[0]?.commitLsn === 20n ? new Promise(() => {}) : transform(batch);
    await expect(runPipeline(stages)).rejects.toThrow("publish 10");
    expect(confirmed(log)).toEqual([]);
  });

  test("when the source breaks, that is the error", async () => {
    const { stages } = stagesOf([batchOf(10)], { failAtEnd: true });
    await expect(runPipeline(stages)).rejects.toThrow("source");
  });
});
