import { describe, expect, test } from "vitest";
import { parseChange } from "../../shared/kafka/position.ts";
import { placesRow, progressAt } from "../../tests/support/places.ts";
import { consumerPlaces } from "../applier/consumer-places.ts";
import type { KafkaRecord } from "../ports.ts";
import { checkBefore, FetchPosition } from "./fetch-position.ts";

const at = (
  nextOffset: number,
  bounds = { firstOffset: 0, endOffset: 1_000 },
  position: string | null = null,
) => new FetchPosition(progressAt("t", 0, nextOffset, position), { topic: "t", partition: 0, ...bounds });

const record = (offset: number, change: string | undefined, transactional: boolean): KafkaRecord => ({
  offset,
  key: null,
  value: null,
  timestampMs: 0,
  change: change === undefined ? undefined : Buffer.from(change),
  transactional,
});

describe("where a partition may start", () => {
  test("anywhere the topic holds, its end included", () => {
    expect(at(0).nextOffset).toBe(0);
    expect(at(1_000).nextOffset).toBe(1_000);
  });

  test("not beyond its end: the topic is another one", () => {
    expect(() => at(1_001)).toThrow(expect.objectContaining({ code: "SINK_TOPIC_RECREATED" }));
  });

  test("not before its beginning: events are gone, for one consumer schema or for all", () => {
    const consumers = { "shop/copy": { offset: 4, position: null }, "shop/log": null };
    const places = consumerPlaces(placesRow(7, { consumers }), ["shop/copy", "shop/log"], 5);
    const progress = { topic: "t", partition: 0, nextOffset: places.readFrom.offset, places };
    expect(
      () => new FetchPosition(progress, { topic: "t", partition: 0, firstOffset: 5, endOffset: 9 }),
    ).toThrow(
      expect.objectContaining({
        message: expect.stringContaining("begins at offset 5, its consumer schema shop/copy is at 4"),
        context: expect.objectContaining({ consumerSchema: "shop/copy" }),
      }),
    );
    expect(() => at(4, { firstOffset: 5, endOffset: 9 })).toThrow(
      expect.objectContaining({ code: "SINK_EVENTS_GONE" }),
    );
  });
});

describe("events before a place", () => {
  const check = (position: string | null, ...changes: string[]) =>
    checkBefore(
      progressAt("t", 0, 9, position),
      changes.map((change) => parseChange(change).position),
    );
  const refused = expect.objectContaining({ code: "SINK_TOPIC_RECREATED" });

  test("that are all newer than what was applied last are those of another topic", () => {
    expect(() => check("0/FFFFFFF:3", "u:0/10000000:0", "u:0/10000000:1")).toThrow(refused);
    expect(() => check("0/10:3", "u:0/10:4")).toThrow(refused);
  });

  test("are right when the last applied is among them, also with newer ones that were passed over by hand", () => {
    check("0/10:3", "u:0/F:0", "u:0/10:3");
    check("0/10:3", "u:0/10:3", "u:0/10:4");
  });

  test("tell nothing when there are none, or older ones: the last may be compacted away", () => {
    check("0/10:3");
    check("0/10:3", "u:0/F:0");
  });

  test("are right in repetitions of a publisher without transactions", () => {
    check("0/10:3", "u:0/10:2", "u:0/10:3", "u:0/10:2");
  });

  test("tell nothing when it is not known what was applied last", () => {
    check(null, "u:0/10:4");
    check("x", "u:0/10:4");
  });
});

describe("fetched batches", () => {
  test("only one that was fetched from the next offset is taken", () => {
    const position = at(10);
    expect(position.offer(10)).toBe("take");
    expect(position.offer(11)).toBe("seek");
    expect(position.offer(0)).toBe("seek");
    expect(position.offer(10)).toBe("take");
  });

  test("a consumer that never comes to the right place is broken", () => {
    const position = at(10);
    const decisions = Array.from({ length: 6 }, () => position.offer(50));
    expect(decisions).toEqual(["seek", "seek", "seek", "seek", "seek", "broken"]);
  });
});

describe("records passed over", () => {
  test("control records right after the last event move on", () => {
    const position = at(10);
    expect(position.skip(10, 12)).toBe("take");
    expect(position.nextOffset).toBe(13);
  });

  test("what is behind already changes nothing", () => {
    const position = at(10);
    expect(position.skip(3, 5)).toBe("take");
    expect(position.nextOffset).toBe(10);
  });

  test("a gap is believed only when a second read from the same place shows it again", () => {
    const position = at(10);
    expect(position.skip(20, 22)).toBe("seek");
    expect(position.nextOffset).toBe(10);
    expect(position.skip(20, 22)).toBe("take");
    expect(position.nextOffset).toBe(23);
  });

  test("a batch with nothing left in it moves on by one", () => {
    const position = at(10);
    expect(position.skip(null, 10)).toBe("take");
    expect(position.nextOffset).toBe(11);
  });
});

describe("repeats", () => {
  /** Takes a batch as the feed does. */
  const take = (position: FetchPosition, batch: readonly KafkaRecord[]): number[] => {
    const { records, position: last } = position.withoutRepeats(batch);
    position.advance(position.nextOffset + batch.length, last);
    return records.map((r) => r.offset);
  };

  test("of a publisher without transactions are left out by position", () => {
    const position = at(0, undefined, "0/100:1");
    const records = [
      record(0, "u:0/100:0", false),
      record(1, "u:0/100:1", false),
      record(2, "u:0/100:2", false),
      record(3, "u:0/100:2", false),
      record(4, "u:0/FF:9", false),
      record(5, "d:1/0:0", false),
    ];
    expect(take(position, records)).toEqual([2, 5]);
    expect(take(position, [record(6, "d:1/0:0", false), record(7, "d:1/0:1", false)])).toEqual([7]);
  });

  test("a batch that is looked at but not taken is new when it is read again", () => {
    const position = at(0);
    const batch = [record(0, "u:0/100:0", false), record(1, "u:0/100:1", false)];
    expect(position.withoutRepeats(batch).records).toHaveLength(2);
    expect(take(position, batch)).toEqual([0, 1]);
    expect(take(position, batch)).toEqual([]);
  });

  test("LSNs are compared as numbers", () => {
    const position = at(0, undefined, "0/FFFFFFF:0");
    expect(take(position, [record(0, "u:0/10000000:0", false)])).toEqual([0]);
  });

  test("records of transactions and records without a header are never left out", () => {
    const position = at(0, undefined, "0/100:5");
    const records = [record(0, "u:0/1:0", true), record(1, undefined, false), record(2, "u:0/1:0", false)];
    expect(take(position, records)).toEqual([0, 1]);
  });
});
