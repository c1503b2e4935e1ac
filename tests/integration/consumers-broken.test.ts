import { relative } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { publishedUsages } from "../../shared/registry/published-usages.ts";
import { accountConsumer, accountSchema, stackRegistry, type Team, team } from "../support/teams.ts";

const TEXT = { type: "string" };
const BEFORE = accountSchema({ email: TEXT, "phone?": TEXT, "note?": TEXT });
const WITHOUT_PHONE = accountSchema({ email: TEXT, "note?": TEXT }, { version: [1, 1] });
const WITHOUT_NOTE = accountSchema({ email: TEXT, "phone?": TEXT }, { version: [1, 1] });
const SQL = "INSERT INTO customers\nVALUES (:id, ':note', :phone)";

/** A publisher whose first version is in schemas/ and in the registry. */
async function publisher(consumers: readonly Team[] = []): Promise<Team & { workspaces: string[] }> {
  const accounts = await team();
  const workspaces = consumers.map(({ file }) => relative(accounts.directory, file));
  await accounts.define({ publicSchemas: [BEFORE], workspaces });
  expect((await accounts.run("schema", "write")).exitCode).toBe(0);
  expect((await accounts.run("schema", "register")).exitCode).toBe(0);
  return Object.assign(accounts, { workspaces });
}

describe("across a workspace", () => {
  test("a removed field that a consumer uses is an error that names it, though Avro allows it", async () => {
    await using shop = await team();
    await using accounts = await publisher([shop]);
    await shop.define({ consumerSchemas: [accountConsumer(accounts.slug, SQL)] });
    await accounts.define({ publicSchemas: [WITHOUT_PHONE], workspaces: accounts.workspaces });
    const { exitCode, stdout } = await accounts.run("schema", "check", "--format", "json");
    expect(exitCode).toBe(1);
    const broken = JSON.parse(stdout).diagnostics.filter(
      (d: { code: string }) => d.code === "CONSUMER_BROKEN",
    );
    expect(broken).toMatchObject([
      {
        severity: "error",
        message: expect.stringContaining(
          `"phone" was removed: ${shop.slug}/customer (group rejot.sink.${shop.slug}.db) reads ${accounts.slug}/account v1, :phone in sql, line 2, column 23`,
        ),
        file: expect.stringContaining("rejot-manifest.json"),
        sql: { line: 2, column: 23, text: "VALUES (:id, ':note', :phone)" },
      },
    ]);
    const diff = await accounts.run("schema", "diff");
    expect(diff.stdout).toContain(
      `breaks ${shop.slug}/customer: :phone in sql, line 2, column 23 ("phone" was removed)`,
    );
    const text = await accounts.run("schema", "check");
    expect(text.stderr).toContain("    VALUES (:id, ':note', :phone)\n                          ^");
  });

  test("a removed field that nobody uses is told to be used by nobody known", async () => {
    await using shop = await team();
    await using accounts = await publisher([shop]);
    await shop.define({ consumerSchemas: [accountConsumer(accounts.slug, SQL)] });
    await accounts.define({ publicSchemas: [WITHOUT_NOTE], workspaces: accounts.workspaces });
    expect((await accounts.run("schema", "write")).exitCode).toBe(0);
    const { exitCode, stderr } = await accounts.run("schema", "check");
    expect(stderr).toContain("No known consumer uses what was removed");
    expect(stderr).toContain(`"note" of ${accounts.slug}/account v1`);
    expect(stderr).not.toContain("CONSUMER_BROKEN");
    expect(exitCode).toBe(0);
  });

  test.each([
    [
      "a retyped field",
      accountSchema({ email: TEXT, "phone?": { type: "integer" } }),
      /"phone" is long now, it was string/,
      ":phone",
    ],
    [
      "a key without the field of deleteSql",
      accountSchema({ email: TEXT, "phone?": TEXT }, { key: ["email"] }),
      /"id" is no longer part of the key/,
      ":id in deleteSql",
    ],
  ])("%s names the consumers that use it", async (_name, after, message, placeholder) => {
    await using shop = await team();
    await using accounts = await publisher([shop]);
    await shop.define({ consumerSchemas: [accountConsumer(accounts.slug, SQL)] });
    await accounts.define({ publicSchemas: [after], workspaces: accounts.workspaces });
    const { exitCode, stderr } = await accounts.run("schema", "check");
    const lines = stderr.split("\n").filter((line) => line.startsWith("error CONSUMER_BROKEN"));
    expect(lines).toEqual([expect.stringMatching(message)]);
    expect(lines[0]).toContain(placeholder);
    expect(exitCode).toBe(1);
  });

  test("a major version that vanishes names its readers; beside the new one it may stay", async () => {
    await using shop = await team();
    await using accounts = await publisher([shop]);
    await shop.define({ consumerSchemas: [accountConsumer(accounts.slug, SQL)] });
    const second = accountSchema({ email: TEXT }, { version: [2, 0] });
    await accounts.define({ publicSchemas: [second], workspaces: accounts.workspaces });
    await accounts.run("schema", "write");
    const gone = await accounts.run("schema", "check");
    expect(gone.stderr).toMatch(
      new RegExp(
        `error SCHEMA_NO_LONGER_PUBLISHED: .*"account" v1, which is in schemas; read by ${shop.slug}/customer`,
      ),
    );
    expect(gone.stderr).toMatch(/error CONSUMER_BROKEN: .*account v1 is no longer published/);
    expect(gone.exitCode).toBe(1);
    await accounts.define({ publicSchemas: [BEFORE, second], workspaces: accounts.workspaces });
    expect((await accounts.run("schema", "check")).exitCode).toBe(0);
  });
});

describe("through the registry", () => {
  test("a consumer of another team is named by what it registered", async () => {
    await using accounts = await publisher();
    await using shop = await team({ consumerSchemas: [accountConsumer(accounts.slug, SQL)] });
    await using other = await team({
      consumerSchemas: [accountConsumer(accounts.slug, "INSERT INTO customers VALUES ($1, $3)")],
    });
    for (const reader of [shop, other]) {
      const registered = await reader.run("schema", "register-consumers");
      expect(registered).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/published .*-consumer\./),
      });
    }
    await accounts.define({ publicSchemas: [WITHOUT_PHONE] });
    await accounts.run("schema", "write");
    const offline = await accounts.run("schema", "check");
    expect(offline).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining("the registry was not asked"),
    });
    const { exitCode, stderr } = await accounts.run("schema", "check", "--against", "registry");
    expect(stderr).toMatch(
      new RegExp(`"phone" was removed: ${shop.slug}/customer .*:phone in sql, line 2, column 23`),
    );
    expect(stderr).toMatch(
      new RegExp(`"phone" was removed: ${other.slug}/customer .*\\$3 in sql, line 1, column 35`),
    );
    expect(stderr).toContain(
      `at: ${accounts.slug}.account.v1-consumer.${shop.slug}.customer in the registry`,
    );
    expect(exitCode).toBe(1);
  });

  test("registering can be repeated, follows the SQL, and is taken back", async () => {
    await using accounts = await publisher();
    await using shop = await team({
      consumerSchemas: [
        accountConsumer(accounts.slug, SQL),
        accountConsumer(accounts.slug, SQL, { name: "a b" }),
      ],
    });
    const register = async (...flags: string[]) => {
      const { stdout } = await shop.run("schema", "register-consumers", "--json", ...flags);
      return JSON.parse(stdout).consumers.map((c: { outcome: string }) => c.outcome);
    };
    const used = async (major: number) =>
      (await publishedUsages(stackRegistry(), [`${accounts.slug}.account.v${major}`])).map(({ usage }) => [
        usage.name,
        usage.uses.map(({ placeholder }) => placeholder).join(" "),
        usage.fields.map(({ name }) => name).join(" "),
      ]);
    expect(await register()).toEqual(["published", "published"]);
    expect(await register()).toEqual(["unchanged", "unchanged"]);
    expect(await used(1)).toEqual([
      ["a b", ":id :phone :id", "id phone"],
      ["customer", ":id :phone :id", "id phone"],
    ]);
    const mailed = accountConsumer(accounts.slug, "SELECT :email");
    await shop.define({ consumerSchemas: [mailed] });
    expect(await register("--prune")).toEqual(["published", "taken back"]);
    // Back to what was registered before: a registry would give the old version back instead of a new latest one.
    await shop.define({ consumerSchemas: [accountConsumer(accounts.slug, SQL)] });
    expect(await register()).toEqual(["published"]);
    expect(await used(1)).toEqual([["customer", ":id :phone :id", "id phone"]]);

    const second = accountSchema({ email: TEXT }, { version: [2, 0] });
    await accounts.define({ publicSchemas: [BEFORE, second] });
    expect((await accounts.run("schema", "register")).exitCode).toBe(0);
    await shop.define({ consumerSchemas: [accountConsumer(accounts.slug, "SELECT :email", { major: 2 })] });
    expect(await register()).toEqual(["published"]);
    expect([await used(1), await used(2)]).toEqual([[], [["customer", ":email :id", "id email"]]]);
  });

  test("a consumer's own check refuses a field that the registry does not have, as its sink would", async () => {
    await using accounts = await publisher();
    await using shop = await team({
      consumerSchemas: [accountConsumer(accounts.slug, "SELECT :id,\n  :emial")],
    });
    for (const args of [["check", "--against", "registry"], ["register-consumers"]]) {
      const { exitCode, stderr } = await shop.run("schema", ...args);
      expect(stderr).toMatch(/error SQL_PLACEHOLDER_UNKNOWN: .*:emial; there is :id, :email, :phone, :note/);
      expect(stderr).toContain("    sql: line 2, column 3".slice(2));
      expect(exitCode).toBe(1);
    }
    expect(await publishedUsages(stackRegistry(), [`${accounts.slug}.account.v1`])).toEqual([]);
  });

  test("a schema that is not registered yet is waited for, a registry that is not there is exit code 3", async () => {
    await using shop = await team({ consumerSchemas: [accountConsumer("nobody-yet", SQL)] });
    expect(await shop.run("schema", "register-consumers")).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining("the registry has no schema of nobody-yet.account.v1 yet"),
    });
    await using lost = await team({
      registryUrl: "http://127.0.0.1:1",
      brokers: inject("stack").brokers,
      consumerSchemas: [accountConsumer("nobody-yet", SQL)],
    });
    expect((await lost.run("schema", "register-consumers")).exitCode).toBe(3);
  });
});
