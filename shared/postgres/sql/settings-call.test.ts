import { expect, test } from "vitest";
import { changesSettings } from "./settings-call.ts";
import { parseTemplate } from "./template.ts";

test.each([
  ["SELECT set_config('role', 'none', true) AS id", true],
  ["SELECT id FROM t WHERE pg_catalog.\"set_config\"('role', 'none', true) = a", true],
  ["WITH w AS (SELECT Set_Config('a', 'b', false)) SELECT id FROM t, w", true],
  ["SELECT id FROM t ORDER BY (SELECT U&\"set!005Fconfig\" UESCAPE '!' ('a', 'b', true))", true],
  ["SELECT 'set_config(1)' AS set_config, current_setting('role') FROM set_config", false],
])("%s changes settings: %s", async (sql, does) => {
  expect(changesSettings(await parseTemplate(sql))).toBe(does);
});
