import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Fault, FaultResult } from "./fault.ts";
import { ResultFiles } from "./result-files.ts";

const FAULT: Fault = { id: "keys", group: "1. Keys", title: "keys", run: async () => {} };

function result(seed: number, complaints: string[] = []): FaultResult {
  const passed = complaints.length === 0;
  return { id: FAULT.id, seed, passed, complaints, transactions: 1, recoveredMs: 1, seconds: 1 };
}

test("each start writes a file of its own, and a failed run the whole logs beside it, whose path is told", async () => {
  const told = vi.spyOn(console, "log").mockImplementation(() => {});
  vi.useFakeTimers({ now: new Date("1995-06-01T12:00:00Z") });
  const directory = await mkdtemp(join(tmpdir(), "rejot-kafka-test-"));
  onTestFinished(async () => {
    vi.useRealTimers();
    told.mockRestore();
    await rm(directory, { recursive: true });
  });
  const first = new ResultFiles(directory, [FAULT]);
  await first.add(result(1), ["the log"]);
  vi.setSystemTime(new Date("1995-06-01T13:00:00Z"));
  const second = new ResultFiles(directory, [FAULT]);
  await second.add(result(2), ["the log"]);
  await second.add(result(3, ["lost"]), ["first line\nlast line"]);
  const log = "1995-06-01T13.00.00.000Z-keys-3.log";
  expect((await readdir(directory)).sort()).toEqual([
    "1995-06-01T12.00.00.000Z.json",
    log,
    "1995-06-01T13.00.00.000Z.json",
    "results.md",
  ]);
  const seeds = async (file: string) =>
    (JSON.parse(await readFile(file, "utf8")) as FaultResult[]).map(({ seed }) => seed);
  expect(await seeds(first.file)).toEqual([1]);
  expect(await seeds(second.file)).toEqual([2, 3]);
  expect(await readFile(join(directory, "results.md"), "utf8")).toContain(
    "| `keys`: keys | 2 | 1 | 2 | 0.0 s |",
  );
  expect(await readFile(join(directory, log), "utf8")).toBe("lost\nfirst line\nlast line\n");
  expect(told.mock.calls.flat().join("\n")).toContain(join(directory, log));
});
