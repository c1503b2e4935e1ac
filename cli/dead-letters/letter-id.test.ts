import { expect, test } from "vitest";
import { formatLetterId, parseLetterId, parseSince } from "./letter-id.ts";

test("ids are topic, partition and offset, and come back as they were", () => {
  const id = { topic: "p.shop.product.v1", partition: 3, offset: 1_234_567 };
  expect(formatLetterId(id)).toBe("p.shop.product.v1/3/1234567");
  expect(parseLetterId(formatLetterId(id))).toEqual(id);
});

test.each(["", "7", "0/7", "a/b/7", "a/0/", "a/0/7/8", "a/0/-7", "a/0/1.5", "a/0/99999999999999999"])(
  "%j is no id",
  (text) => {
    expect(() => parseLetterId(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
  },
);

test("times are absolute, or so long ago", () => {
  const now = new Date("2026-01-31T18:00:00Z");
  for (const [text, expected] of [
    ["30m", "2026-01-31T17:30:00.000Z"],
    ["7d", "2026-01-24T18:00:00.000Z"],
    ["2026-01-31", "2026-01-31T00:00:00.000Z"],
    ["2026-01-31T17:59", "2026-01-31T17:59:00.000Z"],
    ["2026-01-31T17:59:01.5+02:00", "2026-01-31T15:59:01.500Z"],
  ] as const)
    expect(parseSince(text, now).toISOString()).toBe(expected);
});

test.each(["", "yesterday", "5", "5w", "1", "2026-13-01", "2026-01-31 18:00"])("%j is no time", (text) => {
  expect(() => parseSince(text, new Date())).toThrow(expect.objectContaining({ code: "USAGE" }));
});
