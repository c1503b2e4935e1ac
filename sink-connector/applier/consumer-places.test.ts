import fc from "fast-check";
import { expect, test } from "vitest";
import { placesRow } from "../../tests/support/places.ts";
import type { PlacesRow } from "../ports.ts";
import { consumerPlaces, consumersText, parseConsumers } from "./consumer-places.ts";

const at = (offset: number, position: string | null = null) => ({ offset, position });

test("a new consumer schema begins at the first offset, one that was away where it was", () => {
  const row = placesRow(10, { position: "0/A:0", consumers: { a: null, away: at(6, "0/6:0") } });
  const places = consumerPlaces(row, ["a", "away", "new"], 2);
  expect(places.readFrom).toEqual(at(2));
  expect(Object.fromEntries(places.behind)).toEqual({ away: 6, new: 2 });
  expect(["a", "away", "new"].map((name) => places.needs(name, 6))).toEqual([false, true, true]);
  expect(places.movedTo(8, at(7, "0/7:0")).row).toMatchObject({
    nextOffset: 10,
    position: "0/A:0",
    consumers: { a: null, away: at(8, "0/7:0"), new: at(8, "0/7:0") },
  });
  expect(places.movedTo(10, at(7, "0/7:0")).row).toMatchObject({
    nextOffset: 10,
    position: "0/A:0",
    consumers: { a: null, away: null, new: null },
  });
  expect(places.movedTo(12, at(11, "0/B:0")).row).toMatchObject({
    nextOffset: 12,
    position: "0/B:0",
    consumers: { a: null, away: null, new: null },
  });
});

test("one that this sink does not have stays where it is, with its position, while others go on", () => {
  const row = placesRow(10, { position: "0/A:0", consumers: { a: null, other: null, away: at(3) } });
  const places = consumerPlaces(row, ["a"], 0);
  expect([places.needs("a", 10), places.needs("other", 10)]).toEqual([true, false]);
  const moved = places.movedTo(12, at(11, "0/B:0")).row;
  expect(moved.consumers).toEqual({ a: null, other: at(10, "0/A:0"), away: at(3) });
  expect(consumerPlaces(moved, ["other"], 0).readFrom).toEqual(at(10, "0/A:0"));
});

test("one that is held stays where it is, unless all are", () => {
  const row = placesRow(10, { consumers: { a: null, b: at(4) } });
  const places = consumerPlaces(row, ["a", "b"], 0, new Set(["b"]));
  expect(places.readFrom.offset).toBe(10);
  expect([places.needs("b", 4), places.isPast("b", 3), places.isPast("a", 9)]).toEqual([false, false, true]);
  expect(places.movedTo(12, undefined).row.consumers).toEqual({ a: null, b: at(4) });
  expect(consumerPlaces(row, ["a", "b"], 0, new Set(["a", "b"])).readFrom.offset).toBe(4);
});

test("one that was told to pass over an event is ahead of the others", () => {
  const places = consumerPlaces(placesRow(10, { consumers: { a: null, b: at(11) } }), ["a", "b"], 0);
  expect([places.readFrom.offset, places.needs("a", 10), places.needs("b", 10)]).toEqual([10, true, false]);
  expect(places.movedTo(11, undefined).row).toMatchObject({
    nextOffset: 11,
    consumers: { a: null, b: null },
  });
});

test("in a row without a list all are where it says, also one that is held", () => {
  const places = consumerPlaces(placesRow(10), ["a", "b"], 0);
  expect([places.readFrom.offset, places.behind.size]).toEqual([10, 0]);
  const withoutB = consumerPlaces(placesRow(10), ["a", "b"], 0, new Set(["b"]));
  expect(withoutB.movedTo(11, undefined).row.consumers).toEqual({ a: null, b: at(10) });
  expect(places.movedTo(11, undefined).row.consumers).toEqual({ a: null, b: null });
});

test("what is stored is read as it was, also what was written by hand; anything else is refused", () => {
  const consumers = { a: null, b: at(7), c: at(9, "0/9:1") };
  expect(consumersText(consumers)).toBe('{"a":null,"b":7,"c":{"offset":9,"position":"0/9:1"}}');
  expect(parseConsumers(consumersText(consumers))).toEqual(consumers);
  for (const text of ["[]", "null", '"x"', '{"a": -1}', '{"a": 1.5}', '{"a": "7"}', '{"a": {"offset": 1}}'])
    expect(() => parseConsumers(text)).toThrow(expect.objectContaining({ code: "SINK_PROGRESS_INVALID" }));
});

test("whoever is there when, in whatever portions: each applies every event once and in order", () => {
  const names = ["a", "b", "c", "d"];
  const phase = fc.record({
    present: fc.subarray(names, { minLength: 1 }),
    held: fc.subarray(names),
    portions: fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 4 }),
  });
  const positionOf = (offset: number) => `0/${offset}:0`;
  fc.assert(
    fc.property(fc.array(phase, { minLength: 1, maxLength: 12 }), (phases) => {
      const applied = new Map(names.map((name) => [name, [] as number[]]));
      let row: PlacesRow = placesRow(0, { consumers: {} });
      for (const { present, held, portions } of phases) {
        let places = consumerPlaces(row, present, 0, new Set(held));
        let from = places.readFrom;
        for (const portion of portions) {
          for (let offset = from.offset; offset < from.offset + portion; offset++) {
            for (const name of present) if (places.needs(name, offset)) applied.get(name)?.push(offset);
          }
          const end = from.offset + portion;
          places = places.movedTo(end, at(end - 1, positionOf(end - 1)));
          from = places.readFrom;
          expect(from).toEqual(at(end, positionOf(end - 1)));
          const consumers = parseConsumers(places.row.text ?? "");
          expect(consumers).toEqual(places.row.consumers);
          row = { ...places.row, consumers };
        }
      }
      for (const offsets of applied.values()) expect(offsets).toEqual(offsets.map((_, i) => i));
      for (const name of names) {
        const next = applied.get(name)?.length ?? 0;
        const position = next === 0 ? null : positionOf(next - 1);
        expect(consumerPlaces(row, [name], 0).readFrom).toEqual(at(next, position));
      }
    }),
    { numRuns: 500 },
  );
});
