import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { resolveSecrets } from "./secrets.ts";

test("references are replaced in every string, however deep", () => {
  const value = { a: "x-${A}-${B}", list: ["${A}", 3], keep: true, nothing: null };
  expect(resolveSecrets(value, { A: "1", B: "" })).toEqual({
    a: "x-1-",
    list: ["1", 3],
    keep: true,
    nothing: null,
  });
  expect(value.a).toBe("x-${A}-${B}");
});

test("a file's content stands for its reference, without the last line break", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "secret-")), "password");
  await writeFile(file, "two\nlines\n");
  expect(resolveSecrets(`\${file:${file}}`, {})).toBe("two\nlines");
});

test("what cannot be resolved is named", () => {
  expect(() => resolveSecrets("${NO_SUCH}", {})).toThrow(/NO_SUCH is not set/);
  expect(() => resolveSecrets("${file:/no/such}", {})).toThrow(/\/no\/such cannot be read/);
});

test("other dollar signs are left alone", () => {
  expect(resolveSecrets("pa$$word $X ${not a name}", {})).toBe("pa$$word $X ${not a name}");
});
