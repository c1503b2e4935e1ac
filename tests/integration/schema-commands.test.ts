import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { randomName } from "../support/names.ts";
import { type ProjectSchema, SchemaProject } from "../support/schema-project.ts";

const TEXT = { type: "string" };
const NULLABLE = { type: ["string", "null"] };
const WHOLE = { type: "integer" };
const STATES = (...values: string[]) => ({ type: "string", enum: values });
const DECIMAL = (precision: number, scale: number) => ({
  type: "string",
  format: "decimal",
  precision,
  scale,
});
const ADDRESS = (properties: Record<string, object>) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

const FIELDS = {
  email: TEXT,
  region: TEXT,
  state: STATES("active", "closed"),
  balance: DECIMAL(10, 2),
  note: NULLABLE,
  address: ADDRESS({ city: TEXT, zip: NULLABLE }),
  tags: { type: "array", items: TEXT },
};
const BASE: ProjectSchema = { fields: FIELDS };
const without = (name: keyof typeof FIELDS): ProjectSchema["fields"] =>
  Object.fromEntries(Object.entries(FIELDS).filter(([field]) => field !== name));

function project(): Promise<SchemaProject> {
  const slug = `@${randomName("org").replaceAll("_", "-")}/team`;
  return SchemaProject.create({ slug, registryUrl: inject("stack").registryUrl });
}

/** A project whose first version is written and committed. */
async function committed(): Promise<SchemaProject> {
  const made = await project();
  await made.define(BASE);
  expect((await made.schema("write")).exitCode).toBe(0);
  await made.commit();
  return made;
}

/** The same, registered. */
async function published(): Promise<SchemaProject> {
  const made = await committed();
  expect(await made.schema("register")).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("registered"),
  });
  return made;
}

const EVERYWHERE = ["schemas", "git:main", "registry"] as const;
const everywhere = EVERYWHERE.flatMap((what) => ["--against", what]);

/** One published project for a group of tests, as it was committed before each. */
function sharedProject(): () => SchemaProject {
  let shared: SchemaProject;
  beforeAll(async () => {
    shared = await published();
  });
  afterEach(async () => {
    await shared.git("checkout", "--quiet", "--", ".");
    await shared.git("clean", "-fdq");
  });
  afterAll(() => shared[Symbol.asyncDispose]());
  return () => shared;
}

describe("a change that breaks consumers makes a red build, wherever it is compared", () => {
  const shared = sharedProject();

  test.each<[string, ProjectSchema, RegExp]>([
    ["field removed", { fields: without("email") }, /"email" was removed.*consumers with the old schema/],
    [
      "field added without default",
      { fields: { ...FIELDS, phone: TEXT } },
      /"phone" was added without a default.*consumers with the new schema/,
    ],
    [
      "enum value removed",
      { fields: { ...FIELDS, state: STATES("active") } },
      /"state" is no longer "closed".*events published before/,
    ],
    [
      "enum value added",
      { fields: { ...FIELDS, state: STATES("active", "closed", "frozen") } },
      /"state" may be "frozen" now.*old schema/,
    ],
    [
      "key changed",
      { ...BASE, key: ["id", "region"] },
      /the key is \(id, region\) now, it was \(id\).*another partition/,
    ],
    ["key retyped", { fields: { ...FIELDS, id: TEXT } }, /"id" of the key is string now, it was long/],
    [
      "retyped field",
      { fields: { ...FIELDS, email: WHOLE } },
      /"email" is long now, it was string: neither old nor new/,
    ],
    [
      "required becomes nullable",
      { fields: { ...FIELDS, email: NULLABLE } },
      /"email" may be null now.*old schema/,
    ],
    [
      "nullable becomes required",
      { fields: { ...FIELDS, note: TEXT } },
      /"note" may no longer be null.*new schema/,
    ],
    [
      "scale of a decimal",
      { fields: { ...FIELDS, balance: DECIMAL(10, 3) } },
      /"balance" is decimal\(10, 3\) now, it was/,
    ],
    [
      "logical type",
      { fields: { ...FIELDS, email: { type: "string", format: "uuid" } } },
      /"email" is uuid now/,
    ],
    [
      "field removed inside an object",
      { fields: { ...FIELDS, address: ADDRESS({ zip: NULLABLE }) } },
      /"address.city" was removed/,
    ],
    [
      "items retyped",
      { fields: { ...FIELDS, tags: { type: "array", items: WHOLE } } },
      /"tags\[\]" is long now/,
    ],
  ])("%s", async (_name, changed, message) => {
    const at = shared();
    // The version does not help: only another major does.
    await at.define({ ...changed, version: [1, 1] });
    const result = await at.schema("check", ...everywhere);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toContain("error SCHEMA_INCOMPATIBLE");
    expect(result.stderr).toContain(
      "(against v1.0 in schemas, v1.0 at main, version 1 in the registry; it needs version 2.0)",
    );
    expect(result.stderr).toMatch(/at: rejot-manifest.json:\d+: public schema "customer" v1/);
    expect(result.exitCode).toBe(1);
    expect(await at.schema("register")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(message),
    });
    await at.define({ ...changed, version: [2, 0] }, BASE);
    expect((await at.schema("write")).exitCode).toBe(0);
    expect(await at.schema("check", ...everywhere)).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining(": no errors\n"),
    });
  });
});

describe("a legal change makes a green build", () => {
  const shared = sharedProject();

  test.each<[string, ProjectSchema, "1.0" | "1.1"]>([
    ["nothing", BASE, "1.0"],
    ["a description", { fields: { ...FIELDS, email: { ...TEXT, description: "where to write to" } } }, "1.0"],
    ["another order", { fields: Object.fromEntries(Object.entries(FIELDS).reverse()) }, "1.0"],
    ["a constraint", { fields: { ...FIELDS, email: { ...TEXT, maxLength: 100 } } }, "1.0"],
    ["a nullable field added", { fields: { ...FIELDS, phone: NULLABLE } }, "1.1"],
    ["an optional field added", { fields: { ...FIELDS, "phone?": TEXT } }, "1.1"],
    ["a field with a default added", { fields: { ...FIELDS, phone: { ...TEXT, default: "" } } }, "1.1"],
    ["a nullable field removed", { fields: without("note") }, "1.1"],
    ["a default", { fields: { ...FIELDS, region: { ...TEXT, default: "eu" } } }, "1.1"],
    [
      "the default of an enum",
      { fields: { ...FIELDS, state: { ...STATES("active", "closed"), default: "active" } } },
      "1.1",
    ],
    [
      "a nullable field inside an object",
      { fields: { ...FIELDS, address: ADDRESS({ city: TEXT, zip: NULLABLE, country: NULLABLE }) } },
      "1.1",
    ],
  ])("%s", async (_name, changed, needs) => {
    const at = shared();
    await at.define(changed);
    const unraised = await at.schema("check", "--against", "git:main");
    if (needs === "1.1") {
      expect(unraised.stderr).toMatch(/error SCHEMA_VERSION_NOT_RAISED.*so this is version 1\.1/);
      expect(unraised.exitCode).toBe(1);
      expect(await at.schema("write")).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("SCHEMA_VERSION_WRITTEN"),
      });
      await at.define({ ...changed, version: [1, 1] });
    } else expect(unraised.exitCode).toBe(0);
    expect((await at.schema("write")).exitCode).toBe(0);
    const checked = await at.schema("check", ...everywhere);
    expect(checked.stderr).toMatch(
      /(^|\n)checked 1 public schema against schemas, git:main, registry: no errors\n$/,
    );
    expect(checked.exitCode).toBe(0);
    expect((await at.schema("register", "--dry-run")).exitCode).toBe(0);
  });
});

test("every version counts, not only the latest, in files, in git and in the registry", async () => {
  await using at = await published();
  await at.define({ fields: without("note"), version: [1, 1] });
  for (const args of [["write"], ["register"]]) expect((await at.schema(...args)).exitCode).toBe(0);
  await at.commit();
  await at.define({ fields: { ...FIELDS, note: { type: ["integer", "null"] } }, version: [1, 2] });
  const { stderr, exitCode } = await at.schema("check", ...everywhere);
  expect(stderr).toMatch(
    /"note" is long now.*\(against v1\.0 in schemas, v1\.0 at main, version 1 in the registry; it needs/,
  );
  expect(exitCode).toBe(1);
});

test("a new schema passes, once its files are written", async () => {
  await using at = await published();
  await at.define(BASE, { fields: {}, name: "parcel" });
  expect(await at.schema("check", "--against", "git:main", "--against", "registry")).toMatchObject({
    exitCode: 0,
  });
  expect(await at.schema("check")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/SCHEMA_FILES_STALE.*parcel v1\.0: .*parcel\/v1\.0 is not written yet/),
  });
  expect((await at.schema("write")).stdout.match(/wrote/g)).toHaveLength(3);
  expect((await at.schema("check")).exitCode).toBe(0);
});

test("files that were edited, damaged or left behind are found", async () => {
  await using at = await published();
  const folder = `${at.slug.slice(1).replace("/", ".")}.customer/v1.0`;
  const file = join(at.directory, "schemas", folder, "schema.json");
  await writeFile(file, (await readFile(file, "utf8")).replace("integer", "number"));
  expect(await at.schema("check")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("schema.json differs"),
  });
  await at.schema("write");
  expect((await at.schema("check")).exitCode).toBe(0);
  await writeFile(file.replace("schema.json", "value.avsc"), "{");
  expect(await at.schema("check")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/SCHEMA_FILES_INVALID.*value\.avsc/),
  });
  await at.git("checkout", "--", ".");
  await at.define({ fields: {}, name: "parcel" });
  const { stderr } = await at.schema("check", "--against", "schemas", "--against", "git:main");
  expect(stderr).toContain(
    'warning SCHEMA_NO_LONGER_PUBLISHED: A public schema is gone from the manifest: "customer" v1',
  );
});

describe("compared with git", () => {
  test("neither the work tree nor the index is touched, and the ref may be any", async () => {
    await using at = await committed();
    await at.git("tag", "released");
    await at.define({ fields: { ...FIELDS, phone: NULLABLE }, version: [1, 1] });
    await at.git("add", ".");
    const status = await at.git("status", "--porcelain");
    for (const ref of ["main", "released", "HEAD", "HEAD~0"]) {
      expect((await at.schema("check", "--against", `git:${ref}`)).exitCode).toBe(0);
    }
    expect(await at.git("status", "--porcelain")).toBe(status);
  });

  test("in a folder of a repository, and from a folder inside it", async () => {
    await using at = await committed();
    const inner = join(at.directory, "services/customers");
    await mkdir(inner, { recursive: true });
    await at.git("mv", "rejot-manifest.json", "schemas", "services/customers/");
    await at.commit();
    const manifest = join(inner, "rejot-manifest.json");
    const text = await readFile(manifest, "utf8");
    await writeFile(manifest, text.replace('"email": {', '"mail": {').replace('"email",', '"mail",'));
    const result = await at.schema(
      "check",
      "--manifest",
      "services/customers/rejot-manifest.json",
      "--against=git:main",
    );
    expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('"email" was removed') });
    // The schemas of then come from where they stood then.
    const elsewhere = await at.schema("check", "--manifest", manifest, "--against=git:main~1");
    expect(elsewhere).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("counts as new") });
  });

  test("a manifest that was broken then is said, and keeps nobody from mending it", async () => {
    await using at = await project();
    await writeFile(join(at.directory, "rejot-manifest.json"), "{ broken");
    await at.commit();
    await at.define(BASE);
    expect(await at.schema("check", "--against", "git:main")).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining("warning SCHEMA_NOT_COMPARED"),
    });
  });

  test.each<[string, (at: SchemaProject) => Promise<string>, RegExp]>([
    [
      "a ref that is not there",
      async () => "nope",
      /GIT_FAILED: .*"nope" is no commit, branch or tag[\s\S]*hint:/,
    ],
    ["a ref that looks like a flag", async () => "--all", /GIT_FAILED: .*"--all" is no commit/],
    [
      "a branch that only the remote has",
      async (at) => {
        await at.git("update-ref", "refs/remotes/origin/release", "HEAD");
        return "release";
      },
      /GIT_FAILED[\s\S]*compare with git:origin\/release/,
    ],
    [
      "a shallow clone",
      async (at) => {
        await at.commit();
        const head = (await at.git("rev-parse", "HEAD")).trim();
        await writeFile(join(at.directory, ".git/shallow"), `${head}\n`);
        return "stable";
      },
      /GIT_FAILED: .*which is shallow[\s\S]*fetch-depth: 0/,
    ],
    [
      "no repository",
      async (at) => {
        await rm(join(at.directory, ".git"), { recursive: true });
        return "main";
      },
      /GIT_FAILED: .*is in no git repository/,
    ],
  ])("%s: exit 2, with what to do", async (_name, prepare, message) => {
    await using at = await committed();
    const result = await at.schema("check", "--against", `git:${await prepare(at)}`);
    expect(result.stderr).toMatch(message);
    expect(result.exitCode).toBe(2);
  });

  test("without git: exit 2", async () => {
    await using at = await committed();
    vi.stubEnv("PATH", at.directory);
    const result = await at.schema("check", "--against", "git:main").finally(() => vi.unstubAllEnvs());
    expect(result).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/GIT_FAILED: .*no git executable/),
    });
  });
});

test("the diff tells what changed, whom it breaks and which version it needs", async () => {
  await using at = await published();
  await at.define({ fields: { ...without("email"), phone: NULLABLE } });
  const { stdout, exitCode } = await at.schema("diff", "--against", "git:main");
  expect(exitCode).toBe(0);
  expect(stdout).toBe(`customer v1.0
  since v1.0 at main:
    major  "email" was removed and has no default: consumers with the old schema find no value for it in new events
    minor  "phone" was added with the default null
  needs version 2.0
`);
  const json = JSON.parse((await at.schema("diff", "--json")).stdout);
  expect(json.schemas).toMatchObject([
    {
      schema: "customer",
      needs: "2.0",
      differences: [
        {
          since: "v1.0 in schemas",
          changes: [
            { part: "value", path: "email", kind: "field-removed", breaks: ["old-readers"], bump: "major" },
            { path: "phone", kind: "field-added", breaks: [], bump: "minor" },
          ],
        },
      ],
      conflicts: [{ path: "email", against: ["v1.0 in schemas"] }],
    },
  ]);
});

test("list shows what is registered", async () => {
  await using at = await published();
  await at.define(
    { fields: { ...FIELDS, phone: NULLABLE }, version: [1, 1] },
    { fields: {}, name: "parcel" },
  );
  const { stdout } = await at.schema("list");
  expect(stdout).toMatch(/customer v1\.1 .*1 version registered, not this one/);
  expect(stdout).toMatch(/parcel v1\.0 .*not registered/);
  const { schemas } = JSON.parse((await at.schema("list", "--json")).stdout);
  const [customer] = schemas;
  expect(customer.registry).toMatchObject({
    key: { versions: 1, version: 1, id: expect.any(Number), compatibility: "FULL_TRANSITIVE" },
    value: { versions: 1, version: null, id: null },
  });
  expect((await at.schema("list", "--offline")).exitCode).toBe(0);
});

test("a dry run registers nothing, and tells what would be", async () => {
  await using at = await project();
  await at.define(BASE);
  const dry = await at.schema("register", "--dry-run", "--json");
  expect(JSON.parse(dry.stdout).subjects).toMatchObject([
    { outcome: "would register", id: null },
    { outcome: "would register" },
  ]);
  expect((await at.schema("list")).stdout).toContain("not registered");
  await at.schema("register");
  const again = await at.schema("register", "--json");
  expect(JSON.parse(again.stdout).subjects).toMatchObject([
    { outcome: "unchanged", id: expect.any(Number) },
    { outcome: "unchanged" },
  ]);
});

test("findings come in the formats of CI, and a registry that is down is exit 3", async () => {
  await using at = await published();
  await at.define({ fields: without("email") });
  const json = JSON.parse((await at.schema("check", "--json")).stdout);
  expect(JSON.stringify(json)).toContain("SCHEMA_INCOMPATIBLE");
  expect((await at.schema("check", "--format", "github")).stdout).toMatch(
    /^::error file=.*rejot-manifest.json,line=/,
  );
  expect((await at.schema("check", "--format", "junit")).stdout).toContain("<failure");
  expect(JSON.parse((await at.schema("check", "--format", "sarif")).stdout)).toHaveProperty("runs");
  const file = join(at.directory, "rejot-manifest.json");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace(inject("stack").registryUrl, "http://127.0.0.1:1"));
  for (const args of [["check", "--against", "registry"], ["register"], ["list"]]) {
    expect(await at.schema(...args)).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining("REGISTRY_UNREACHABLE"),
    });
  }
  expect(await at.schema("check", "--against", "somewhere")).toMatchObject({ exitCode: 2 });
});
