import { mkdir, readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { freePort } from "../../compose/dev-stack/ports.ts";
import { cliFolder as folder } from "../support/cli-folder.ts";
import { runToEnd, writeFiles } from "../support/connector.ts";
import { runCliIn } from "../support/run-cli.ts";

const CONNECTION = ["manifest", "connection", "add", "--slug"];
const KAFKA = [
  "--type",
  "kafka",
  "--brokers",
  "one:9092, two:9092",
  "--schema-registry",
  "http://me:${PW}@reg:8081",
];

test("the version is the package's", async () => {
  await using at = await folder();
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
  expect((await at.run("--version")).stdout.trim()).toBe(version);
});

describe("a manifest made on the command line", () => {
  test("init, connections, data stores, event stores, info", async () => {
    await using at = await folder();
    await at.run("manifest", "init", "--slug", "@org/team");
    const string = "postgres://app@db.example/shop";
    expect((await at.run(...CONNECTION, "source", "--connection-string", string)).exitCode).toBe(0);
    await at.run(
      ...CONNECTION,
      "sink",
      "--type",
      "postgres",
      "--host",
      "h",
      "--user",
      "u",
      "--database",
      "d",
    );
    await at.run(...CONNECTION, "events", ...KAFKA, "--topic-prefix", "eu.", "--partitions", "3");
    const slot = ["--publication", "my_pub", "--slot", "my_slot"];
    await at.run("manifest", "datastore", "add", "--connection", "source", ...slot);
    await at.run("manifest", "datastore", "add", "--connection", "sink");
    await at.run("manifest", "eventstore", "add", "--connection", "events");

    expect(await at.manifest()).toEqual({
      slug: "@org/team",
      manifestVersion: 0,
      connections: [
        {
          slug: "source",
          config: { connectionType: "postgres", host: "db.example", user: "app", database: "shop" },
        },
        {
          slug: "sink",
          config: { connectionType: "postgres", host: "h", port: 5432, user: "u", database: "d" },
        },
        {
          slug: "events",
          config: {
            connectionType: "kafka",
            brokers: ["one:9092", "two:9092"],
            schemaRegistry: { url: "http://reg:8081", auth: { username: "me", password: "${PW}" } },
            topicPrefix: "eu.",
            partitions: 3,
          },
        },
      ],
      dataStores: [
        {
          connectionSlug: "source",
          config: { connectionType: "postgres", slotName: "my_slot", publicationName: "my_pub" },
        },
        { connectionSlug: "sink" },
      ],
      eventStores: [{ connectionSlug: "events" }],
      publicSchemas: [],
      consumerSchemas: [],
    });
    const info = await at.run("manifest", "info");
    expect(info).toMatchObject({ exitCode: 0, stderr: "" });
    expect(info.stdout).toMatch(/sink {4}postgres {2}u@h:5432\/d/);
    expect(info.stdout).toMatch(/source {2}slot my_slot, publication my_pub/);
    expect(info.stdout).toMatch(/no errors/);
  });

  test("an existing manifest is not overwritten", async () => {
    await using at = await folder({ "rejot-manifest.json": "mine" });
    const result = await at.run("manifest", "init", "--slug", "x");
    expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("MANIFEST_EXISTS") });
    expect(await readFile(at.path("rejot-manifest.json"), "utf8")).toBe("mine");
  });

  test("connections, data stores and event stores are listed, changed and removed, never from under a user", async () => {
    await using at = await folder();
    await at.run("manifest", "init", "--slug", "team");
    await at.run(...CONNECTION, "db", "--connection-string", "${DATABASE_URL}");
    await at.run("manifest", "datastore", "add", "--connection", "db");
    expect(await at.run("manifest", "connection", "remove", "db")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/STILL_USED[\s\S]*manifest datastore remove db/),
    });
    await at.run("manifest", "connection", "update", "db", "--connection-string", "postgres://me@new/x");
    expect((await at.run("manifest", "connection", "list")).stdout).toContain("me@new:5432/x");
    expect((await at.run("manifest", "datastore", "list")).stdout).toContain("db  destination only");
    await at.run("manifest", "datastore", "remove", "db");
    await at.run("manifest", "connection", "remove", "db");
    await at.run(...CONNECTION, "events", ...KAFKA);
    await at.run("manifest", "eventstore", "add", "--connection", "events");
    expect((await at.run("manifest", "eventstore", "list")).stdout).toContain(
      "events  kafka  one:9092,two:9092",
    );
    await at.run("manifest", "eventstore", "remove", "events");
    await at.run("manifest", "connection", "remove", "events");
    expect(await at.manifest()).toMatchObject({ connections: [], dataStores: [], eventStores: [] });
  });

  test("a password in clear is said, one by reference is not, and none is ever shown", async () => {
    await using at = await folder();
    await at.run("manifest", "init", "--slug", "team");
    const clear = await at.run(...CONNECTION, "a", "--connection-string", "postgres://me:s3cret@h/x");
    expect(clear.stderr).toContain("${A_PASSWORD}");
    const reference = await at.run(...CONNECTION, "b", "--connection-string", "postgres://me:${PW}@h/x");
    expect(reference.stderr).toBe("");
    const whole = await at.run(...CONNECTION, "c", "--connection-string", "${URL}");
    expect(whole).toMatchObject({ exitCode: 0, stderr: "" });
    const shown = `${(await at.run("manifest", "info")).stdout}${(await at.run("manifest", "connection", "list")).stdout}${clear.stdout}${clear.stderr}`;
    expect(shown).not.toContain("s3cret");
    expect((await at.manifest()).connections[1].config.password).toBe("${PW}");
  });

  test("the manifest is found in a folder above, and named where it is not", async () => {
    await using at = await folder();
    await at.run("manifest", "init", "--slug", "team");
    const deep = await writeFiles({});
    await using _deep = deep;
    expect(await runCliIn(deep.directory, ["manifest", "info"])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^MANIFEST_NOT_FOUND/),
    });
    const named = ["manifest", "info", "--manifest", at.path("rejot-manifest.json")];
    expect(await runCliIn(deep.directory, named)).toMatchObject({ exitCode: 0 });
  });
});

test("the installed command says what the function says, on stdout, stderr and by its exit code", async () => {
  await using at = await folder();
  expect(await runToEnd("cli/bin.js", ["manifest", "--help"])).toEqual(await at.run("manifest", "--help"));
  expect(await runToEnd("cli/bin.js", ["nonsense"])).toEqual(await at.run("nonsense"));
});

describe("mistakes have a code, a hint and no stack", () => {
  test.each<[string[], number, RegExp]>([
    [["nonsense"], 2, /^USAGE: .*unknown command 'nonsense'/],
    [["manifest", "inof"], 2, /Did you mean info/],
    [["manifest", "init"], 2, /^USAGE: .*--slug/],
    [["manifest", "init", "--slug", "No Good"], 2, /^USAGE: .*lower-case/],
    [["manifest", "info"], 1, /^MANIFEST_NOT_FOUND/],
    [["manifest", "info", "--manifest", "broken.json"], 1, /^MANIFEST_NOT_JSON: .*broken.json:3:1/],
    [["manifest", "info", "--manifest", "wrong.json"], 1, /^MANIFEST_INVALID[\s\S]*unknown key "dataStore"/],
    [
      ["manifest", "connection", "add", "--manifest", "ok.json", "--slug", "x"],
      2,
      /give --connection-string, or --type/,
    ],
    [
      ["manifest", "connection", "add", "--manifest", "ok.json", "--slug", "x", "--type", "mysql"],
      2,
      /^USAGE/,
    ],
    [
      ["manifest", "connection", "add", "--manifest", "ok.json", "--slug", "x", "--type", "postgres"],
      2,
      /missing --host, --user, --database/,
    ],
    [
      [
        "manifest",
        "connection",
        "add",
        "--manifest",
        "ok.json",
        "--slug",
        "x",
        "--connection-string",
        "mysql://x",
      ],
      2,
      /^CONNECTION_STRING_INVALID/,
    ],
    [["manifest", "connection", "remove", "--manifest", "ok.json", "x"], 1, /^CONNECTION_NOT_FOUND: .*"x"/],
    [
      ["manifest", "datastore", "add", "--manifest", "ok.json", "--connection", "x"],
      1,
      /^CONNECTION_NOT_FOUND/,
    ],
    [
      ["manifest", "datastore", "add", "--manifest", "ok.json", "--connection", "x", "--slot", "s"],
      2,
      /belong together/,
    ],
    [["manifest", "sync", "ok.json", "--api-port", "many"], 2, /^CONFIG_INVALID|^USAGE/],
    [["manifest", "sync", "absent.json"], 1, /^MANIFEST_NOT_FOUND/],
    [["collect", "--manifest", "ok.json", "absent.ts"], 1, /SCHEMA_FILE_FAILED: .*absent.ts/],
    [["workspace", "info"], 1, /^MANIFEST_NOT_FOUND/],
  ])("%j", async (args, exitCode, message) => {
    await using at = await folder({
      "ok.json": { slug: "ok", manifestVersion: 0 },
      "wrong.json": { slug: "ok", manifestVersion: 0, dataStore: [] },
      "broken.json": '{"slug": "x",\n"manifestVersion": 0\n',
    });
    const result = await at.run(...args);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ exitCode, stderr: expect.stringMatching(/\n {2}hint: ./) });
    expect(result.stderr).not.toMatch(/\n\s+at .*\d+:\d+|node:internal/);
  });
});

describe("exit codes", () => {
  const connection = (port: number) => ({
    slug: "events",
    config: {
      connectionType: "kafka",
      brokers: [`127.0.0.1:${port}`],
      schemaRegistry: { url: `http://127.0.0.1:${port}` },
    },
  });

  test("0: fine, also with warnings", async () => {
    await using at = await folder({
      "rejot-manifest.json": { slug: "a", manifestVersion: 0, connections: [connection(1)] },
    });
    expect(await at.run("manifest", "info")).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("1 warning"),
    });
  });

  test("1: a check found errors", async () => {
    const manifest = { slug: "a", manifestVersion: 0, dataStores: [{ connectionSlug: "absent" }] };
    await using at = await folder({ "rejot-manifest.json": manifest });
    expect(await at.run("manifest", "info")).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("1 error"),
    });
  });

  test("2: used wrongly", async () => {
    await using at = await folder();
    expect(await at.run("manifest", "info", "--nonsense")).toMatchObject({ exitCode: 2, stdout: "" });
  });

  test("3: a server could not be reached", async () => {
    const port = await freePort();
    const properties = { id: { type: "integer" } };
    const publicSchema = {
      name: "item",
      source: { dataStoreSlug: "db" },
      outputSchema: { type: "object", properties, required: ["id"], additionalProperties: false },
      key: ["id"],
      version: { major: 1, minor: 0 },
      config: {
        publicSchemaType: "postgres",
        transformations: [{ operation: "insert", table: "item", sql: "SELECT id FROM item WHERE id = :id" }],
      },
    };
    const db = { connectionType: "postgres", host: "127.0.0.1", port, user: "u", database: "d" };
    const slot = { connectionType: "postgres", slotName: "s", publicationName: "p" };
    await using at = await folder({
      "rejot-manifest.json": {
        slug: "a",
        manifestVersion: 0,
        connections: [{ slug: "db", config: db }, connection(port)],
        dataStores: [{ connectionSlug: "db", config: slot }],
        eventStores: [{ connectionSlug: "events" }],
        publicSchemas: [publicSchema],
      },
    });
    expect(await at.run("manifest", "info")).toMatchObject({ exitCode: 0 });
    const asked = await at.run("schema", "check", "--against", "registry", "--json");
    expect(asked).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(/^REGISTRY_UNREACHABLE/) });
    expect(JSON.parse(asked.stdout)).toMatchObject({ error: { code: "REGISTRY_UNREACHABLE" } });
  });
});

describe("workspaces", () => {
  test("init and info: all manifests with what is wrong between them", async () => {
    await using at = await folder({
      "a.json": { slug: "same", manifestVersion: 0 },
      "b.json": { slug: "same", manifestVersion: 0 },
    });
    await at.run("workspace", "init", "--slug", "all");
    const file = at.path("rejot-workspace.json");
    const workspace = JSON.parse(await readFile(file, "utf8"));
    expect(workspace).toEqual({ slug: "all", manifestVersion: 0, workspaces: ["./**/rejot-manifest.json"] });
    await writeFile(file, JSON.stringify({ ...workspace, workspaces: ["./[ab].json"] }));
    const info = await at.run("workspace", "info");
    expect(info).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("DUPLICATE_MANIFEST_SLUG") });
    expect(info.stdout).toContain("same (b.json)");
    const again = await at.run("workspace", "init", "--slug", "all");
    expect(again).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("MANIFEST_EXISTS") });
  });

  test("the workspace is found from a folder inside, also the one that ReJot makes", async () => {
    await using at = await folder({ "rejot-manifest.json": { slug: "all", manifestVersion: 0 } });
    await mkdir(at.path("team/deep"), { recursive: true });
    await writeFile(
      at.path("team/rejot-manifest.json"),
      JSON.stringify({ slug: "team", manifestVersion: 0 }),
    );
    expect(await runCliIn(at.path("team/deep"), ["workspace", "info"])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^MANIFEST_NOT_FOUND[\s\S]*workspace init --slug/),
    });
    await writeFile(
      at.path("rejot-manifest.json"),
      JSON.stringify({ slug: "all", manifestVersion: 0, workspaces: ["./*/rejot-manifest.json"] }),
    );
    const info = await runCliIn(at.path("team/deep"), ["workspace", "info", "--json"]);
    const { manifests } = JSON.parse(info.stdout);
    expect(manifests.map((m: { slug: string }) => m.slug)).toEqual(["all", "team"]);
  });

  test("a manifest is checked against those of its workspace", async () => {
    const all = { slug: "team", manifestVersion: 0, workspaces: ["./*/rejot-manifest.json"] };
    await using at = await folder({ "rejot-manifest.json": all });
    await mkdir(at.path("team"));
    await writeFile(
      at.path("team/rejot-manifest.json"),
      JSON.stringify({ slug: "team", manifestVersion: 0 }),
    );
    expect(await at.run("manifest", "info", "--manifest", "team")).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("DUPLICATE_MANIFEST_SLUG"),
    });
  });
});

describe("the manifest's JSON Schema", () => {
  test("is named in a new manifest where the package is installed, else not", async () => {
    await using at = await folder();
    await at.run("manifest", "init", "--slug", "a");
    expect(await at.manifest()).not.toHaveProperty("$schema");
    await mkdir(at.path("node_modules/rejot-kafka"), { recursive: true });
    await mkdir(at.path("team"));
    await writeFile(at.path("node_modules/rejot-kafka/manifest.schema.json"), "{}");
    await at.run("manifest", "init", "--slug", "b", "--manifest", "b.json");
    await at.run("manifest", "init", "--slug", "c", "--manifest", "team/rejot-manifest.json");
    const schemaOf = async (file: string) => JSON.parse(await readFile(at.path(file), "utf8")).$schema;
    expect(await schemaOf("b.json")).toBe("./node_modules/rejot-kafka/manifest.schema.json");
    expect(await schemaOf("team/rejot-manifest.json")).toBe(
      "../node_modules/rejot-kafka/manifest.schema.json",
    );
  });

  test("manifest schema prints what the package holds", async () => {
    await using at = await folder();
    const file = new URL("../../manifest.schema.json", import.meta.url);
    expect((await at.run("manifest", "schema")).stdout).toBe(await readFile(file, "utf8"));
  });
});
