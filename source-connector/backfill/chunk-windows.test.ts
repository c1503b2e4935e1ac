import { describe, expect, test } from "vitest";
import { formatChange } from "../../shared/kafka/position.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { EncodedEvent, TransactionPiece } from "../ports.ts";
import { ChunkWindows, type ReadChunk } from "./chunk-windows.ts";

const lsn = (value: number) => BigInt(value) as Lsn;

function piece(commit: number, marks?: string[]): TransactionPiece {
  const end = lsn(commit + 1);
  const info = { xid: commit, commitLsn: lsn(commit), commitTimeMs: commit * 10, changes: [], endLsn: end };
  return { ...info, bytes: 0, ...(marks === undefined ? {} : { marks }) };
}

/** An event as the stream makes it, `key` in a topic of its own. */
function event(key: string, commit: number, index = 0, topic = "t"): EncodedEvent {
  const position = { commitLsn: lsn(commit), index };
  const change = formatChange("u", position);
  return {
    topic,
    key: Buffer.from(key),
    value: Buffer.from(`u${commit}`),
    change,
    position,
    timestampMs: commit,
  };
}

function chunk(mark: string, ...keys: string[]): ReadChunk {
  const events = keys.map((key) => ({ ...event(key, 0), value: Buffer.from("r") }));
  return { mark, op: "r", events, note: ({ overtaken }) => ({ key: mark, value: `${overtaken} overtaken` }) };
}

const shown = (events: readonly EncodedEvent[]) => events.map(({ key, change }) => `${key} ${change}`);

describe("ChunkWindows", () => {
  test("a chunk stands where its mark does, behind what came before and before what comes after", () => {
    const windows = new ChunkWindows();
    const window = windows.open("t");
    window.hold(chunk("m", "a", "b"));
    const { events, notes } = windows.merge(
      [piece(1), piece(2, ["m"]), piece(3)],
      [event("x", 1), event("a", 3)],
    );
    expect(shown(events)).toEqual(["x u:0/1:0", "a r:0/2:0", "b r:0/2:1", "a u:0/3:0"]);
    expect(events[1]).toMatchObject({ timestampMs: 20, position: { commitLsn: 2n, index: 0 } });
    expect(notes).toEqual([{ key: "m", value: "0 overtaken" }]);
    expect(window.landedAt).toBe(2n);
  });

  test("keys that are gone become tombstones at the mark, but those that have changed since the window opened", () => {
    const windows = new ChunkWindows();
    const window = windows.open("t");
    const gone = chunk("m", "a", "b", "c");
    windows.merge([piece(1)], [event("b", 1)]);
    window.hold({ ...gone, op: "d", events: gone.events.map((each) => ({ ...each, value: null })) });
    const { events } = windows.merge([piece(2), piece(3, ["m"])], [event("c", 2)]);
    expect(shown(events)).toEqual(["c u:0/2:0", "a d:0/3:0"]);
    expect(events[1]?.value).toBeNull();
  });

  test("what is read of a topic that is emptied meanwhile is left out, before and after the reading is done", () => {
    for (const held of [true, false]) {
      const windows = new ChunkWindows();
      const window = windows.open("t");
      if (held) window.hold(chunk("m", "a", "b"));
      windows.emptied("other");
      windows.emptied("t");
      if (!held) window.hold(chunk("m", "a", "b"));
      const { events, notes } = windows.merge([piece(2, ["m"])], []);
      expect(shown(events)).toEqual([]);
      expect(notes).toEqual([{ key: "m", value: "2 overtaken" }]);
    }
  });

  test("a key that changes while the chunk is read, or until its mark comes, is left out", () => {
    const windows = new ChunkWindows();
    const window = windows.open("t");
    windows.merge([piece(1)], [event("a", 1)]);
    window.hold(chunk("m", "a", "b", "c", "d"));
    windows.merge([piece(2)], [event("b", 2)]);
    const { events, notes } = windows.merge([piece(3), piece(4, ["m"])], [event("c", 3)]);
    expect(shown(events)).toEqual(["c u:0/3:0", "d r:0/4:0"]);
    expect(notes).toEqual([{ key: "m", value: "3 overtaken" }]);
  });

  test("what changed before the window opened is in the chunk's snapshot, and stays", () => {
    const windows = new ChunkWindows();
    windows.merge([piece(1)], [event("a", 1)]);
    windows.open("t").hold(chunk("m", "a"));
    expect(shown(windows.merge([piece(2, ["m"])], []).events)).toEqual(["a r:0/2:0"]);
  });

  test("what the stream has published since the backfill began does not come again", () => {
    const windows = new ChunkWindows();
    windows.watch("t");
    windows.merge([piece(1)], [event("a", 1), event("b", 1, 1, "other")]);
    windows.open("t").hold(chunk("m", "a", "b"));
    const { events, notes } = windows.merge([piece(2, ["m"])], []);
    expect(shown(events)).toEqual(["b r:0/2:0"]);
    expect(notes).toEqual([{ key: "m", value: "1 overtaken" }]);
    windows.unwatch("t");
    windows.open("t").hold(chunk("n", "a"));
    expect(shown(windows.merge([piece(3, ["n"])], []).events)).toEqual(["a r:0/3:0"]);
  });

  test("a tombstone counts as a change, a key of another topic does not", () => {
    const windows = new ChunkWindows();
    windows.open("t").hold(chunk("m", "a", "b"));
    const gone = { ...event("a", 1), value: null };
    const { events } = windows.merge([piece(1), piece(2, ["m"])], [gone, event("b", 1, 1, "other")]);
    expect(shown(events)).toEqual(["a u:0/1:0", "b u:0/1:1", "b r:0/2:0"]);
  });

  test("several windows are open at once, each with its own keys", () => {
    const windows = new ChunkWindows();
    windows.open("t").hold(chunk("m1", "a", "b"));
    windows.merge([piece(1)], [event("a", 1)]);
    windows.open("t").hold(chunk("m2", "a", "c"));
    const { events } = windows.merge([piece(2, ["m1"]), piece(3, ["m2"])], []);
    expect(shown(events)).toEqual(["b r:0/2:0", "a r:0/3:0", "c r:0/3:1"]);
  });

  test("a mark that nobody waits for means nothing: an earlier process sent it", () => {
    const windows = new ChunkWindows();
    windows.open("t").hold(chunk("m", "a"));
    expect(windows.merge([piece(1, ["old"])], [])).toEqual({ events: [], notes: [] });
    expect(shown(windows.merge([piece(2, ["old", "m"])], []).events)).toEqual(["a r:0/2:0"]);
    expect(windows.merge([piece(3, ["m"])], []).events).toEqual([]);
  });

  test("a mark does not come too early: the chunk is not there before it is handed over", () => {
    const windows = new ChunkWindows();
    const window = windows.open("t");
    expect(windows.merge([piece(1, ["m"])], []).notes).toEqual([]);
    window.hold(chunk("m", "a"));
    expect(windows.merge([piece(2, ["m"])], []).notes).toHaveLength(1);
  });

  test("the same object of several rows is one event", () => {
    const windows = new ChunkWindows();
    windows.open("t").hold(chunk("m", "a", "a"));
    expect(shown(windows.merge([piece(1, ["m"])], []).events)).toEqual(["a r:0/1:0"]);
  });

  test("keys that are kept are bounded: a window that has seen too many says so", () => {
    const windows = new ChunkWindows();
    const window = windows.open("t");
    const events = Array.from({ length: 200_001 }, (_, i) => event(String(i), 1, i));
    windows.merge([piece(1)], events);
    expect(window.overflown).toBe(true);
    window.close();
    expect(windows.merge([piece(2)], [event("a", 2)]).events).toHaveLength(1);
  });

  test("without a window nothing is touched", () => {
    const events = [event("a", 1)];
    expect(new ChunkWindows().merge([piece(1)], events).events).toBe(events);
  });
});
