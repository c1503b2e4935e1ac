import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { withTables } from "./types-page.ts";

const PAGE = new URL("../../docs/types.md", import.meta.url);

test("the tables in docs/types.md say what the code does", async () => {
  await expect(withTables(readFileSync(PAGE, "utf8"))).toMatchFileSnapshot("../../docs/types.md");
});
