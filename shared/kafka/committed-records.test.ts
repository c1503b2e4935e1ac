import { describe, expect, test } from "vitest";
import { committedRecords, type FetchedMessage, hideAborted, offsetBehind } from "./committed-records.ts";

function message(offset: number, producerId: string, more: Partial<FetchedMessage> = {}): FetchedMessage {
  return {
    offset: String(offset),
    timestamp: "1700000000000",
    key: Buffer.from(`k${offset}`),
    value: null,
    headers: {},
    isControlRecord: false,
    ...more,
    batchContext: {
      firstOffset: String(offset),
      lastOffsetDelta: 0,
      producerId,
      inTransaction: producerId !== "-1",
      ...more.batchContext,
    },
  };
}

function marker(offset: number, producerId: string, kind: "abort" | "commit"): FetchedMessage {
  const key = Buffer.from([0, 0, 0, kind === "abort" ? 0 : 1]);
  return message(offset, producerId, { isControlRecord: true, key });
}

const offsets = (records: { offset: bigint }[]) => records.map(({ offset }) => Number(offset));

describe("committedRecords", () => {
  test("leaves markers out, and what is before the offset asked for", () => {
    const messages = [message(3, "7"), message(4, "7"), marker(5, "7", "commit"), message(6, "-1")];
    expect(offsets(committedRecords(messages, [], 4n))).toEqual([4, 6]);
  });

  test("leaves aborted transactions out, also when one of the same producer follows", () => {
    const messages = [
      message(0, "7"),
      marker(1, "7", "abort"),
      message(2, "7"),
      marker(3, "7", "commit"),
      message(4, "7"),
      marker(5, "7", "abort"),
      message(6, "7"),
    ];
    const aborted = [
      { producerId: "7", firstOffset: "4" },
      { producerId: "7", firstOffset: "0" },
    ];
    expect(offsets(committedRecords(messages, aborted, 0n))).toEqual([2, 6]);
  });

  test("knows transactions that were aborted side by side and began before the response", () => {
    const messages = [
      message(10, "8"),
      message(11, "7"),
      message(12, "9"),
      message(13, "-1"),
      marker(14, "7", "abort"),
      marker(15, "8", "abort"),
    ];
    const aborted = [
      { producerId: "7", firstOffset: "2" },
      { producerId: "8", firstOffset: "3" },
    ];
    expect(offsets(committedRecords(messages, aborted, 0n))).toEqual([12, 13]);
  });
});

test("hideAborted leaves every offset where it is", () => {
  const messages = [message(3, "8"), message(4, "7"), marker(5, "8", "abort"), marker(6, "7", "commit")];
  const hidden = hideAborted(messages, [{ producerId: "8", firstOffset: "3" }]);
  expect(hidden.map(({ offset, isControlRecord }) => [offset, isControlRecord])).toEqual([
    ["3", true],
    ["4", false],
    ["5", true],
    ["6", true],
  ]);
});

describe("offsetBehind", () => {
  test("is behind the last batch, whatever compaction has left of it", () => {
    const context = { firstOffset: "20", lastOffsetDelta: 9, producerId: "7", inTransaction: true };
    expect(offsetBehind([message(22, "7", { batchContext: context })])).toBe(30n);
    expect(offsetBehind([])).toBeUndefined();
  });
});
