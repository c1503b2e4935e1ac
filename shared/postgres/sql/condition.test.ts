import { expect, test } from "vitest";
import { isPlainCondition } from "./condition.ts";

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
  "id = :id",
  "id = $1",
])("%s is none", async (text) => expect(await isPlainCondition(text)).toBe(false));
