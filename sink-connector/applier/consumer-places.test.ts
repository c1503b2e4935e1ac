import fc from "fast-check";
import { expect, test } from "vitest";
import type { PlacesRow } from "../ports.ts";
import { consumerPlaces } from "./consumer-places.ts";

test("a new consumer schema begins at the first offset, one that was away where it was", () => {
  const row = { nextOffset: 10, consumers: { a: null, away: 6 } };
  const places = consumerPlaces(row, ["a", "away", "new"], 2);
  expect(places.readFrom).toBe(2);
  expect(Object.fromEntries(places.behind)).toEqual({ away: 6, new: 2 });
  expect(["a", "away", "new"].map((name) => places.needs(name, 6))).toEqual([false, true, true]);
  expect(places.movedTo(8).row).toEqual({ nextOffset: 10, consumers: { a: null, away: 8, new: 8 } });
  expect(places.movedTo(10).row).toEqual({ nextOffset: 10, consumers: { a: null, away: null, new: null } });
  expect(places.movedTo(12).row).toEqual({ nextOffset: 12, consumers: { a: null, away: null, new: null } });
});

test("one that this sink does not have stays where it is while others go on", () => {
  const places = consumerPlaces({ nextOffset: 10, consumers: { a: null, other: null, away: 3 } }, ["a"], 0);
  expect([places.needs("a", 10), places.needs("other", 10)]).toEqual([true, false]);
  expect(places.movedTo(12).row).toEqual({ nextOffset: 12, consumers: { a: null, other: 10, away: 3 } });
});

test("one that is held stays where it is, unless all are", () => {
  const row = { nextOffset: 10, consumers: { a: null, b: 4 } };
  const places = consumerPlaces(row, ["a", "b"], 0, new Set(["b"]));
  expect([places.readFrom, places.needs("b", 4), places.isPast("b", 3), places.isPast("a", 9)]).toEqual([
    10,
    false,
    false,
    true,
  ]);
  expect(places.movedTo(12).row.consumers).toEqual({ a: null, b: 4 });
  expect(consumerPlaces(row, ["a", "b"], 0, new Set(["a", "b"])).readFrom).toBe(4);
});

test("in a row without a list all are where it says", () => {
  const places = consumerPlaces({ nextOffset: 10, consumers: null }, ["a", "b"], 0);
  expect([places.readFrom, places.behind.size]).toEqual([10, 0]);
  const withoutB = consumerPlaces({ nextOffset: 10, consumers: null }, ["a", "b"], 0, new Set(["b"]));
  expect(withoutB.movedTo(11).row).toEqual({ nextOffset: 11, consumers: { a: null, b: 10 } });
  expect(places.movedTo(11).row).toEqual({ nextOffset: 11, consumers: { a: null, b: null } });
});

test("whoever is there when, in whatever portions: each applies every event once and in order", () => {
  const names = ["a", "b", "c", "d"];
  const phase = fc.record({
    present: fc.subarray(names, { minLength: 1 }),
    portions: fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(fc.array(phase, { minLength: 1, maxLength: 12 }), (phases) => {
      const applied = new Map(names.map((name) => [name, [] as number[]]));
      let row: PlacesRow = { nextOffset: 0, consumers: {} };
      for (const { present, portions } of phases) {
        let places = consumerPlaces(row, present, 0);
        let at = places.readFrom;
        for (const portion of portions) {
          for (let offset = at; offset < at + portion; offset++) {
            for (const name of present) if (places.needs(name, offset)) applied.get(name)?.push(offset);
          }
          at += portion;
          places = places.movedTo(at);
          row = places.row;
        }
      }
      for (const offsets of applied.values()) expect(offsets).toEqual(offsets.map((_, i) => i));
      const everyone = consumerPlaces(row, names, 0);
      for (const name of names) {
        expect(everyone.needs(name, (applied.get(name)?.length ?? 0) - 1)).toBe(false);
        expect(everyone.needs(name, applied.get(name)?.length ?? 0)).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});
