import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cacheDirectory, makeDirectory, requireSpace } from "./downloads.ts";

test("downloads are kept outside of the clone", () => {
  expect(cacheDirectory({ XDG_CACHE_HOME: "/var/cache" })).toBe("/var/cache/rejot-kafka");
  expect(cacheDirectory({})).toBe(join(homedir(), ".cache", "rejot-kafka"));
});

test("too little space is said with what is there and what is needed", async () => {
  await requireSpace(tmpdir(), 1);
  await expect(requireSpace(tmpdir(), 1e18)).rejects.toMatchObject({
    code: "STACK_DISK_FULL",
    message: expect.stringMatching(/has \d+ MB free, 1000000000000 MB are needed/),
  });
});

test("a directory that cannot be made is refused with its path", async () => {
  await expect(makeDirectory("/dev/null/below")).rejects.toMatchObject({
    code: "STACK_DIRECTORY_UNUSABLE",
    message: expect.stringContaining("/dev/null/below"),
  });
});
