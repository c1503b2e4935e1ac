import { describe, expect, test } from "vitest";
import { buildProgram } from "../program.ts";
import { type Completion, complete, type ValuesOf } from "./candidates.ts";
import { joinSplitWords } from "./print-candidates.ts";

const PROGRAM = buildProgram({ env: {}, print: () => {}, warn: () => {} });

const VALUES: Readonly<Record<string, Completion>> = {
  connection: { candidates: [candidate("db"), candidate("events")], files: false },
  "postgres-connection": { candidates: [candidate("db")], files: false },
  file: { candidates: [], files: true },
  manifests: { candidates: [], files: true },
};
const valuesOf: ValuesOf = async (placeholder) => VALUES[placeholder];

function candidate(value: string) {
  return { value, description: "" };
}

async function completed(line: string): Promise<{ values: string[]; files: boolean }> {
  const { candidates, files } = await complete(PROGRAM, line.split(" "), valuesOf);
  return { values: candidates.map(({ value }) => value), files };
}

describe("what may follow", () => {
  test.each<[string, string[]]>([
    ["man", ["manifest"]],
    ["manifest con", ["connection"]],
    ["manifest connection ", ["add", "list", "remove", "update", "help"]],
    ["manifest connection remove ", ["db", "events"]],
    ["manifest connection remove e", ["events"]],
    ["manifest connection remove --manifest x.json ", ["db", "events"]],
    ["manifest connection add --type ", ["postgres", "kafka"]],
    ["manifest connection add --type k", ["kafka"]],
    ["manifest connection add --type=k", ["--type=kafka"]],
    [
      "manifest connection add --sasl-mechanism=scram",
      ["scram-sha-256", "scram-sha-512"].map((m) => `--sasl-mechanism=${m}`),
    ],
    ["manifest datastore add --connection ", ["db"]],
    ["manifest info --for", ["--format"]],
    ["manifest info --format ", ["text", "json", "github", "junit", "sarif"]],
    ["manifest sync --only ", ["source", "sink"]],
    ["manifest sync x --log-level w", ["warn"]],
    ["completion ", ["bash", "zsh", "fish"]],
    ["help work", ["workspace"]],
    ["manifest help eve", ["eventstore"]],
    ["manifest datastore add --connection db --slot ", []],
    ["manifest info --unknown=", []],
    ["nonsense ", []],
  ])("%s", async (line, values) => {
    expect(await completed(line)).toEqual({ values, files: false });
  });

  test.each([
    "manifest sync ",
    "manifest sync a ",
    "manifest info --manifest ",
    "manifest info --manifest=re",
  ])("%s: files", async (line) => {
    expect(await completed(line)).toEqual({ values: [], files: true });
  });

  test("options that are needed come first, those given do not come again", async () => {
    const first = await completed("manifest datastore add ");
    expect(first.values[0]).toBe("--connection");
    const second = await completed("manifest datastore add --connection db --");
    expect(second.values).not.toContain("--connection");
    expect(second.values).toEqual(expect.arrayContaining(["--publication", "--slot", "--json", "--help"]));
  });

  test("an option that may come again is offered again", async () => {
    expect((await completed("collect x.ts --database a=b --data")).values).toEqual(["--database"]);
  });

  test("after -- there are no options and no commands", async () => {
    expect(await completed("manifest sync -- --o")).toEqual({ values: [], files: true });
  });
});

describe("words that bash has split", () => {
  test.each<[string[], string[], number]>([
    [["info", ""], ["info", ""], 0],
    [["info", "--format", "=", "j"], ["info", "--format=j"], "--format=".length],
    [["info", "--format", "="], ["info", "--format="], "--format=".length],
    [["info", "--format=j"], ["info", "--format=j"], 0],
    [["x", "--url", "http", ":", "//a", ":", "80"], ["x", "--url", "http://a:80"], "http://a:".length],
    [["--a", "=", "b", ""], ["--a=b", ""], 0],
  ])("%j", (given, words, cut) => {
    expect(joinSplitWords(given)).toEqual({ words, cut });
  });
});
