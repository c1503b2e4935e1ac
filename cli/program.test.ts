import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { readLine } from "./completion/candidates.ts";
import type { CliContext } from "./context.ts";
import { examplesIn } from "./help.ts";
import { buildProgram, runCli } from "./program.ts";

const SILENT: CliContext = { env: {}, print: () => {}, warn: () => {} };
const PROGRAM = buildProgram(SILENT);
const COMMANDS = withInner(PROGRAM, "");

/** Prints no result but a script, so JSON would say nothing more. */
const WITHOUT_JSON = ["completion"];

describe.each(COMMANDS)("rejot-kafka$path", ({ path, command }) => {
  test("--help tells what it does, what it takes, and shows how it is used", async () => {
    const { exitCode, stdout, stderr } = await run([...path.trim().split(" "), "--help"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toContain(`Usage: rejot-kafka${path}`);
    expect(command.description()).toMatch(/^.{10,}[^.]$/);
    for (const part of [...command.options, ...command.registeredArguments]) {
      expect(part.description, part.name()).toMatch(/^.{5,}/);
      expect(stdout).toContain(part.name());
    }
    const examples = examplesIn(stdout);
    expect(examples.length, "examples").toBeGreaterThan(0);
    for (const example of examples) expectToBeUnderstood(example, path);
  });

  test("the command and its options stand in docs/cli.md", async () => {
    const page = await readFile(new URL("../docs/cli.md", import.meta.url), "utf8");
    expect(page).toContain(path.trim().split(" ")[0] ?? "");
    for (const { long } of command.options) expect(page, long ?? "").toContain(long);
  });

  if (command.commands.length === 0 && !WITHOUT_JSON.includes(path.trim())) {
    test("--json is taken", () => {
      expect(command.options.map((option) => option.long)).toContain("--json");
    });
  }
});

test("there are commands, and those of ReJot among them", () => {
  expect(COMMANDS.map(({ path }) => path)).toEqual(
    expect.arrayContaining([
      " collect",
      ...["init", "info", "sync"].map((name) => ` manifest ${name}`),
      ...["add", "list", "remove", "update"].map((name) => ` manifest connection ${name}`),
      ...["add", "list", "remove"].flatMap((name) => [
        ` manifest datastore ${name}`,
        ` manifest eventstore ${name}`,
      ]),
      " workspace init",
      " workspace info",
    ]),
  );
});

describe("ReJot's command lines", () => {
  test.each<[string, RegExp]>([
    [
      "sync --source postgres://a/b --sink stdout://",
      /^REJOT_ONLY.*without a manifest\n {2}hint: .*manifest sync/,
    ],
    ["manifest sync rejot-manifest.json --resolver localhost", /^REJOT_ONLY.*--resolver/],
    ["manifest sync rejot-manifest.json --resolver=env", /^REJOT_ONLY.*--resolver[\s\S]*workspaces/],
    ["manifest sync rejot-manifest.json --kubernetes-namespace x", /^REJOT_ONLY/],
    ["manifest sync rejot-manifest.json --log-level user", /^REJOT_ONLY[\s\S]*info/],
    ["manifest connection add --slug a --type in-memory", /^REJOT_ONLY[\s\S]*--type kafka/],
    ["manifest:connection:add --slug a --type in-memory", /^REJOT_ONLY/],
  ])("%s: not known here, and said with what to do instead", async (line, message) => {
    expect(await run(line.split(" "))).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(message) });
  });

  test.each([
    "manifest:init --help",
    "manifest:connection:add --help",
    "manifest:datastore:remove --help",
    "workspace:info --help",
  ])("%s: a colon is as good as a space", async (line) => {
    const [command = "", ...rest] = line.split(" ");
    expect(await run(line.split(" "))).toEqual(await run([...command.split(":"), ...rest]));
  });
});

describe("a slip of the fingers", () => {
  test.each([
    ["manifets", "manifest"],
    ["manifest inti", "init"],
    ["manifest conection add", "connection"],
    ["manifest info --jsno", "--json"],
    ["manifest sync x --hostnmae y", "--hostname"],
    ["colect x.ts", "collect"],
    ["workspace inof", "info"],
    ["workspace info --filname x", "--filename"],
  ])("%s: did you mean %s?", async (line, meant) => {
    const { exitCode, stdout, stderr } = await run(line.split(" "));
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toMatch(/^USAGE/);
    expect(stderr).toContain(`Did you mean ${meant}?`);
  });

  test("a value that is none of those allowed is answered with these", async () => {
    const { exitCode, stderr } = await run(["manifest", "info", "--format", "jsn"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("Allowed choices are text, json, github, junit, sarif");
  });

  test("a group without a command shows what there is, and is a mistake", async () => {
    const { exitCode, stdout, stderr } = await run(["manifest", "connection"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toMatch(/Usage: rejot-kafka manifest connection[\s\S]*\nUSAGE: .*a command is missing/);
  });
});

function expectToBeUnderstood(example: string, path: string): void {
  const words = shellWords(example.replace(/ (>|\|) .*$/, ""));
  const line = readLine(PROGRAM, words);
  expect(line.pending, example).toBeUndefined();
  const { command } = line;
  if (path !== "" && !words.includes("--help")) expect(commandPath(command)).toContain(path);
  const known = [...command.options.map(({ long }) => long), "--help"];
  for (const option of line.options.keys()) expect(known, example).toContain(option);
  if (line.options.has("--help")) return;
  expect(command.commands, `${example}: a command is missing`).toEqual([]);
  for (const { mandatory, long } of command.options) {
    if (mandatory) expect([...line.options.keys()], example).toContain(long);
  }
  const required = command.registeredArguments.filter((argument) => argument.required).length;
  expect(line.operands.length, example).toBeGreaterThanOrEqual(required);
  if (!command.registeredArguments.at(-1)?.variadic) {
    expect(line.operands.length, example).toBeLessThanOrEqual(command.registeredArguments.length);
  }
}

function withInner(command: Command, path: string): { path: string; command: Command }[] {
  return [
    { path, command },
    ...command.commands.flatMap((inner) => withInner(inner, `${path} ${inner.name()}`)),
  ];
}

function commandPath(command: Command): string {
  return command.parent === null ? "" : `${commandPath(command.parent)} ${command.name()}`;
}

function shellWords(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3] ?? "");
}

async function run(args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const output = { stdout: "", stderr: "" };
  const exitCode = await runCli(
    args.filter((arg) => arg !== ""),
    {
      env: {},
      print: (text) => {
        output.stdout += `${text}\n`;
      },
      warn: (text) => {
        output.stderr += `${text}\n`;
      },
    },
  );
  return { exitCode, ...output };
}
