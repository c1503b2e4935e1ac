import { expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import { placesAt } from "../../tests/support/places.ts";
import type { DeadLetter } from "../ports.ts";
import { SentLetters } from "./sent-letters.ts";

const letter = (topic: string, offset: number, consumer = 0, timestampMs = 0): DeadLetter => ({
  event: {
    topic,
    partition: 0,
    record: { offset, key: null, value: null, timestampMs, change: undefined, transactional: true },
    calls: [],
    failures: [],
  },
  failure: { consumer, error: new RejotError("SINK_EVENT_SET_ASIDE") },
});

test("a letter is known until the destination passes its event", () => {
  const sent = new SentLetters(["a", "b"]);
  const at = (nextOffset: number, names: readonly string[]) => {
    return { topic: "t", partition: 0, nextOffset, places: placesAt(nextOffset, { names }) };
  };
  sent.add(letter("t", 3), 10);
  sent.add(letter("t", 4), 11);
  sent.add(letter("t", 4, 1), 12);
  sent.add(letter("t2", 3), 0);
  expect([letter("t", 3), letter("t", 4), letter("t", 4, 1)].map((l) => sent.offsetOf(l))).toEqual([
    10, 11, 12,
  ]);
  expect(sent.offsetOf(letter("t", 3, 1))).toBeUndefined();
  expect(sent.offsetOf(letter("t", 3, 0, 5))).toBeUndefined();
  sent.passed([at(4, ["a", "b"])]);
  expect(sent.offsetOf(letter("t", 3))).toBeUndefined();
  expect(sent.offsetOf(letter("t", 4))).toBe(11);
  // One that is held is not past anything that the others have passed.
  sent.passed([at(9, ["a"])]);
  expect([sent.offsetOf(letter("t", 4)), sent.offsetOf(letter("t", 4, 1))]).toEqual([undefined, 12]);
  sent.forget("t");
  expect(sent.offsetOf(letter("t", 4, 1))).toBeUndefined();
  expect(sent.offsetOf(letter("t2", 3))).toBe(0);
});
