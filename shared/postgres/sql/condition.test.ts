import { expect, test } from "vitest";
import { bracketed, isPlainCondition } from "./condition.ts";

test.each([
  "id > 5",
  "created_at >= now() - interval '1 day' -- lately",
  "a IN (SELECT id FROM b WHERE c) OR d",
])("%s is a condition", async (text) => expect(await isPlainCondition(text)).toBe(true));

test.each([
  "",
  "id >",
  "true); DELETE FROM t; --",
  "true) UNION SELECT (1",
  "true) ORDER BY (1",
  "id < 2000) OR (n = 1",
  "true) AND (true -- of both",
  "true; -- and no more",
  "true /* and",
  "true ORDER BY 1",
  "true GROUP BY ()",
  "id = :id",
  "id = $1",
  "set_config('role', 'none', true) IS NOT NULL",
])("%s is none", async (text) => expect(await isPlainCondition(text)).toBe(false));

test("a comment at its end does not swallow what stands behind a condition", () => {
  expect(`${bracketed("id > 2 -- the new ones")} AND n`).toMatch(/ones\n\) AND n$/);
});
