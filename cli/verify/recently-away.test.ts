import { expect, test, vi } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import { RecentlyAway } from "./recently-away.ts";

test("Kafka that did not answer is asked again after ten seconds only, and others at once", async () => {
  let nowMs = 0;
  const away = new RecentlyAway(() => nowMs);
  const store = { brokers: ["a:1", "b:1"] };
  const error = new RejotError("KAFKA_UNREACHABLE", { detail: "down" });
  await expect(away.ask(store, () => Promise.reject(error))).rejects.toBe(error);
  const work = vi.fn(async () => 7);
  nowMs = 9_999;
  await expect(away.ask(store, work)).rejects.toBe(error);
  expect(work).not.toHaveBeenCalled();
  expect(await away.ask({ brokers: ["c:1"] }, work)).toBe(7);
  nowMs = 10_000;
  expect(await away.ask(store, work)).toBe(7);
});

test("what is wrong with one comparison says nothing of the next", async () => {
  const away = new RecentlyAway(() => 0);
  const store = { brokers: ["a:1"] };
  const error = new RejotError("VERIFY_TIMEOUT", { detail: "slow" });
  await expect(away.ask(store, () => Promise.reject(error))).rejects.toBe(error);
  expect(await away.ask(store, async () => 7)).toBe(7);
});
