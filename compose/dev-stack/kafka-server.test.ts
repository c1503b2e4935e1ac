import { expect, test } from "vitest";
import { newClusterId } from "./kafka-server.ts";

test("no cluster has a name that Kafka's storage tool takes for an option", () => {
  const names = Array.from({ length: 2_000 }, newClusterId);
  expect(names.filter((name) => name.startsWith("-"))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
});
