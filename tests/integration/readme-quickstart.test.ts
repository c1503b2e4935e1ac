import { readFile, writeFile } from "node:fs/promises";
import { expect, inject, test } from "vitest";
import { parseConnectionString } from "../../shared/manifest/connection-string.ts";
import { connectPostgres } from "../../shared/postgres/client.ts";
import { runToEnd, writeFiles } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";
import { randomName } from "../support/names.ts";
import { runCliIn } from "../support/run-cli.ts";
import { startSync } from "../support/sync.ts";
import { waitFor } from "../support/wait-for.ts";

const README = new URL("../../README.md", import.meta.url);

test("README's quickstart, typed line by line in an empty folder", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await writeFiles({}));
  const [setUp, schemas, check, change] = await quickstart();
  const shell = new Shell(folder.directory);

  for (const words of shell.commandsOf(setUp)) {
    const [program, ...args] = words;
    if (program === "psql" && args.some((arg) => arg.startsWith("CREATE DATABASE"))) {
      for (const arg of args.slice(1)) {
        const name = /^CREATE DATABASE (\w+)$/.exec(arg)?.[1];
        if (name !== undefined) stack.use(await createDatabase({ name }));
      }
    } else if (program === "psql") await shell.psql(args);
    else await shell.rejotKafka(args);
  }
  const manifest = await readFile(folder.path("rejot-manifest.json"), "utf8");
  expect(manifest).toContain('"${MY_SOURCE_DB}"');
  expect(manifest).not.toContain(shell.env.MY_SOURCE_DB);

  await writeFile(folder.path("schemas.ts"), schemas);
  const commands = shell.commandsOf(check).map((words) => words.slice(1));
  const sync = commands.pop();
  expect(sync).toEqual(["manifest", "sync", "./rejot-manifest.json"]);
  for (const args of commands) {
    const { stderr } = await shell.rejotKafka(args);
    expect(stderr).not.toMatch(/^(error|warning)/m);
  }

  const running = stack.use(startSync(folder.directory, shell.env));
  await running.waitForReady();
  const asked: unknown[] = [];
  for (const [program, ...args] of shell.commandsOf(change)) {
    if (program === "curl") {
      const response = await fetch((args[0] ?? "").replace("localhost:3000", running.url()));
      expect(response.ok, args[0]).toBe(true);
      asked.push(await response.json());
    } else if (program === "rejot-kafka") {
      expect((await shell.rejotKafka(args)).stdout).toMatch(/\nEQUAL: 2 comparisons of 2 keys, all equal\n$/);
    } else if (args.at(-1)?.startsWith("TABLE")) {
      // What the README says beside it.
      await waitFor(async () => JSON.stringify(await shell.psql(args)) === '[{"id":"a","api_key":"three"}]', {
        timeoutMs: 60_000,
        describe: () => `the rows to arrive; the log:\n${running.log()}`,
      });
    } else await shell.psql(args);
  }
  expect(asked).toEqual([
    expect.anything(),
    expect.arrayContaining([expect.objectContaining({ operations: expect.any(Array) })]),
  ]);
  expect(await running.stop()).toBe(0);
});

/** The fenced blocks of the quickstart, with the servers' addresses of this run and names that are free. */
async function quickstart(): Promise<[string, string, string, string]> {
  const { postgres, brokers, registryUrl } = inject("stack");
  const readme = await readFile(README, "utf8");
  const section = /\n## Quickstart\n([\s\S]*?)\n## /.exec(readme)?.[1] ?? "";
  const renamed = section
    .replaceAll(
      "postgres://postgres:postgres@localhost:5432/",
      `postgres://${postgres.user}:${postgres.password}@${postgres.host}:${postgres.port}/`,
    )
    .replaceAll("localhost:9092", brokers.join(","))
    .replaceAll("http://localhost:8081", registryUrl)
    .replaceAll("rejot-test", randomName("readme").replaceAll("_", "-"))
    .replaceAll(/\bmy_slot\b/g, randomName("slot"))
    .replaceAll(/\bmy_source\b/g, randomName("source"))
    .replaceAll(/\bmy_sink\b/g, randomName("sink"));
  const blocks = [...renamed.matchAll(/\n```(?:sh|ts)\n([\s\S]*?)\n```/g)].map((match) => match[1] ?? "");
  expect(blocks, "a block to set up, the schemas, one to check and run, one to change").toHaveLength(4);
  return blocks as [string, string, string, string];
}

/** As much of a shell, psql and curl as the quickstart uses, so that a machine that has them not can run it. */
class Shell {
  readonly env: Record<string, string> = {};
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The words of each command; `export` has been done. */
  commandsOf(block: string): string[][] {
    const commands: string[][] = [];
    for (const line of block.split("\n")) {
      const words = this.#words(line);
      const [program, assignment = ""] = words;
      if (program === "export") {
        const [name = "", value = ""] = assignment.split(/=(.*)/s);
        this.env[name] = value;
      } else if (program !== undefined) commands.push(words);
    }
    return commands;
  }

  #words(line: string): string[] {
    const expand = (text: string) => text.replaceAll(/\$(\w+)/g, (_, name: string) => this.env[name] ?? "");
    const words = line.replace(/(^|\s)#.*$/, "").matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g);
    return [...words].map(([word]) =>
      word.replaceAll(
        /'([^']*)'|"([^"]*)"|([^'"]+)/g,
        (_, single?: string, double?: string, bare?: string) => single ?? expand(double ?? bare ?? ""),
      ),
    );
  }

  async rejotKafka(args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    // Schema files are run by Node itself; nothing else needs a process of its own, which takes long to start.
    const result =
      args[0] === "collect"
        ? await runToEnd("cli/bin.js", args, { cwd: this.#directory, env: this.env })
        : await runCliIn(this.#directory, args, this.env);
    expect(result.exitCode, `rejot-kafka ${args.join(" ")}\n${result.stderr}`).toBe(0);
    return result;
  }

  /** Runs `psql <url> -c <statement> …`; resolves with the last one's rows. */
  async psql([url = "", ...args]: readonly string[]): Promise<unknown[]> {
    const { connection } = parseConnectionString(url);
    const client = await connectPostgres(connection, { applicationName: "readme" });
    try {
      let rows: unknown[] = [];
      for (const statement of args.filter((arg) => arg !== "-c")) rows = (await client.query(statement)).rows;
      return rows;
    } finally {
      await client.end();
    }
  }
}
