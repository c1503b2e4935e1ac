import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { TEAMS } from "../../examples/shopjot/oracle.ts";
import { runToEnd } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";

const file = (path: string) => fileURLToPath(new URL(`../../examples/shopjot/${path}`, import.meta.url));

describe("ShopJot's contracts", () => {
  test.each(TEAMS)(
    "%s: every statement holds on the team's tables, and the manifest is up to date",
    async (team) => {
      await using database = await createDatabase({
        sql: await readFile(file(`${team}/tables.sql`), "utf8"),
      });
      const manifest = file(`${team}/rejot-manifest.json`);
      const collected = await runToEnd("cli/main.ts", [
        "collect",
        "--check",
        "--print",
        `--database=${database.url}`,
        `--manifest=${manifest}`,
        file(`${team}/schemas.ts`),
      ]);
      expect(collected.exitCode, collected.stderr).toBe(0);
      expect(collected.stderr).toContain("checked: no errors");
      const { publicSchemas, consumerSchemas = [] } = JSON.parse(await readFile(manifest, "utf8"));
      expect(JSON.parse(collected.stdout)).toEqual({ publicSchemas, consumerSchemas });
    },
  );

  test("the three manifests fit together", async () => {
    const info = await runToEnd("cli/main.ts", [
      "workspace",
      "info",
      `--filename=${file("rejot-workspace.json")}`,
    ]);
    expect(info.exitCode, info.stderr).toBe(0);
    expect(info.stdout).toContain("no errors");
  });
});
