import { execFile } from "node:child_process";
import { symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { writeFiles } from "../support/connector.ts";

const run = promisify(execFile);
const BIN = fileURLToPath(new URL("../../cli/bin.js", import.meta.url));

const MANIFEST = {
  slug: "team",
  manifestVersion: 0,
  connections: [
    { slug: "main-db", config: { connectionType: "postgres", connectionString: "${DATABASE_URL}" } },
    {
      slug: "events",
      config: { connectionType: "kafka", brokers: ["a:1"], schemaRegistry: { url: "http://a" } },
    },
  ],
  dataStores: [{ connectionSlug: "main-db" }],
};

/** Does what bash does at a tab: fills COMP_WORDS, calls the function that `complete` names, reads COMPREPLY. */
const DRIVER = `
source <(rejot-kafka completion bash)
complete -p rejot-kafka
press_tab() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _rejot_kafka rejot-kafka "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
  echo "$*: \${COMPREPLY[*]}"
}
press_tab rejot-kafka man
press_tab rejot-kafka manifest connection ''
press_tab rejot-kafka manifest connection remove ''
press_tab rejot-kafka manifest datastore add --connection ''
press_tab rejot-kafka manifest info --format = ju
press_tab rejot-kafka schema check --against re
press_tab rejot-kafka manifest sync ''
`;

test("bash completes commands, options, their values and the manifest's slugs", async () => {
  await using folder = await installed({ "rejot-manifest.json": MANIFEST, "driver.sh": DRIVER });
  const { stdout, stderr } = await run("bash", ["--noprofile", "--norc", "driver.sh"], {
    cwd: folder.directory,
    env: folder.env,
  });
  expect(stderr).toBe("");
  expect(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trimEnd()),
  ).toEqual([
    "complete -o default -F _rejot_kafka rejot-kafka",
    "rejot-kafka man: manifest",
    "rejot-kafka manifest connection : add list remove update help",
    "rejot-kafka manifest connection remove : main-db events",
    "rejot-kafka manifest datastore add --connection : main-db",
    "rejot-kafka manifest info --format = ju: junit",
    "rejot-kafka schema check --against re: registry",
    // Files are bash's own: -o default.
    "rejot-kafka manifest sync :",
  ]);
});

test("where there is no manifest, or a broken one, nothing is said in the middle of a line", async () => {
  await using folder = await installed({ "rejot-manifest.json": "{" });
  const ask = ["__complete", "--", "manifest", "connection", "remove", ""];
  expect(await run("rejot-kafka", ask, { cwd: folder.directory, env: folder.env })).toEqual({
    stdout: "",
    stderr: "",
  });
});

test("bash accepts the script's syntax", async () => {
  await using folder = await installed({});
  const { stdout } = await run("rejot-kafka", ["completion", "bash"], { env: folder.env });
  await using script = await writeFiles({ "completion.sh": stdout });
  expect(await run("bash", ["-n", script.path("completion.sh")])).toEqual({ stdout: "", stderr: "" });
});

/** A folder with files, and a PATH on which `rejot-kafka` is found. */
async function installed(files: Record<string, string | object>) {
  const folder = await writeFiles(files);
  await symlink(BIN, join(folder.directory, "rejot-kafka"));
  return { ...folder, env: { ...process.env, PATH: `${folder.directory}${delimiter}${process.env.PATH}` } };
}
