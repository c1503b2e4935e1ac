import { expect, test } from "vitest";
import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import { awaitPublished, type Patience } from "./published.ts";

const reader = {
  bounds: async () => [],
  fetch: () => Promise.reject(new Error("unused")),
  close: async () => {},
};

function view(endLsn: () => bigint) {
  return {
    get progress() {
      return { endLsn: endLsn() as Lsn, commitTimeMs: 0, ends: {} } as unknown as ProgressRecord;
    },
    backfills: new Map(),
    refresh: async () => {},
  };
}

test("a source that stands still is waited for once, and again when it has moved", async () => {
  const patience: Patience = {};
  const took = async (endLsn: () => bigint, lsn: bigint) => {
    const options = { timeoutMs: 150, signal: new AbortController().signal, patience };
    const began = performance.now();
    const outcome = await awaitPublished(view(endLsn), reader, "t", lsn as Lsn, options).then(
      () => "published",
      (error: { code: string }) => error.code,
    );
    return [outcome, performance.now() - began > 140];
  };
  const still = () => 5n;
  expect(await took(still, 10n)).toEqual(["VERIFY_SOURCE_BEHIND", true]);
  expect(await took(still, 11n)).toEqual(["VERIFY_SOURCE_BEHIND", false]);
  expect(await took(still, 4n)).toEqual(["published", false]);
  expect(await took(() => 6n, 12n)).toEqual(["VERIFY_SOURCE_BEHIND", true]);
  expect(await took(() => 13n, 12n)).toEqual(["published", false]);
});
