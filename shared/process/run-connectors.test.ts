import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { integer } from "../settings/settings.ts";
import { runConnectorProgram } from "./run-connectors.ts";

const created = vi.fn();
const output = { stdout: "", stderr: "" };

beforeEach(() => {
  for (const name of ["stdout", "stderr"] as const) {
    output[name] = "";
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      output[name] += String(text);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  expect(created).not.toHaveBeenCalled();
});

function run(args: string[], env: Record<string, string> = {}): Promise<number> {
  const program = {
    command: "npm run source --",
    summary: "Publishes.",
    role: "source" as const,
    prefix: "REJOT_SOURCE",
    settings: { maxRows: { schema: integer(1, 10), default: 5, description: "Rows in one batch." } },
    create: created,
  };
  return runConnectorProgram(program, { args, env });
}

describe("a connector's command line", () => {
  test("help names every setting with its variable, and exits 0", async () => {
    expect(await run(["--help"])).toBe(0);
    expect(output.stdout).toContain("--max-rows, REJOT_SOURCE_MAX_ROWS (default 5)");
    expect(output.stdout).toContain("--api-port, REJOT_SOURCE_API_PORT (default 3000)");
  });

  test.each([
    [[], {}, "USAGE", "at least one manifest"],
    [["--max-row", "3", "m.json"], {}, "USAGE", "--max-row"],
    [["--max-rows", "30", "m.json"], {}, "CONFIG_INVALID", '--max-rows="30"'],
    [["m.json"], { REJOT_SOURCE_MAX_ROWS: "none" }, "CONFIG_INVALID", 'REJOT_SOURCE_MAX_ROWS="none"'],
    [["/nowhere/m.json"], {}, "MANIFEST_", "/nowhere/m.json"],
  ])("%j %j is refused with a code and a hint", async (args, env, code, named) => {
    expect(await run(args, env as Record<string, string>)).toBeGreaterThan(0);
    expect(output.stderr).toContain(code);
    expect(output.stderr).toContain(named);
    expect(output.stderr).toContain("hint: ");
  });
});
