import { describe, expect, test } from "vitest";
import { z } from "zod";
import { describeSettings, integer, readSettings, type Setting } from "./settings.ts";

const SETTINGS = {
  maxRows: { schema: integer(1, 100), default: 10, description: "Rows in one batch." },
  mode: { schema: z.enum(["a", "b"]), default: "a", description: "Which of two." } as Setting<"a" | "b">,
  role: { schema: z.string(), default: undefined, description: "Optional." } as Setting<string | undefined>,
};

const read = (args: string[], env: Record<string, string> = {}) =>
  readSettings(SETTINGS, { prefix: "X", env, args });

describe("readSettings", () => {
  test("a flag outranks a variable, a variable the default", () => {
    expect(read([]).values).toEqual({ maxRows: 10, mode: "a", role: undefined });
    expect(read([], { X_MAX_ROWS: "20", X_ROLE: "r" }).values).toEqual({ maxRows: 20, mode: "a", role: "r" });
    expect(read(["--max-rows", "30", "--mode=b"], { X_MAX_ROWS: "20" }).values).toEqual({
      maxRows: 30,
      mode: "b",
      role: undefined,
    });
  });

  test("an empty variable is none", () => {
    expect(read([], { X_MAX_ROWS: "" }).values.maxRows).toBe(10);
  });

  test("what is not an option is handed back, help is noticed", () => {
    expect(read(["a.json", "--max-rows", "1", "b.json"]).positionals).toEqual(["a.json", "b.json"]);
    expect([read([]).help, read(["--help"]).help, read(["-h"]).help]).toEqual([false, true, true]);
  });

  test.each([
    [["--max-rows", "0"], {}, '--max-rows="0"'],
    [["--max-rows", "101"], {}, '--max-rows="101"'],
    [["--max-rows", "1.5"], {}, '--max-rows="1.5"'],
    [["--max-rows", "many"], {}, '--max-rows="many"'],
    [["--mode", "c"], {}, '--mode="c"'],
    [[], { X_MAX_ROWS: "-1" }, 'X_MAX_ROWS="-1"'],
  ])("%j %j is refused by name", (args, env, named) => {
    expect(() => read(args, env as Record<string, string>)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(named) }),
    );
  });

  test("an unknown flag is refused", () => {
    expect(() => read(["--max-row", "1"])).toThrow(expect.objectContaining({ code: "USAGE" }));
    expect(() => read(["--max-rows"])).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});

test("each setting is described with its flag, its variable and its default", () => {
  expect(describeSettings(SETTINGS, "X")).toBe(
    [
      "  --max-rows, X_MAX_ROWS (default 10)\n      Rows in one batch.",
      "  --mode, X_MODE (default a)\n      Which of two.",
      "  --role, X_ROLE\n      Optional.",
    ].join("\n"),
  );
});
