import { writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { deprecationOf } from "../../shared/contracts/deprecation.ts";
import { subjects } from "../../shared/kafka/naming.ts";
import { readManifest } from "../../shared/manifest/load.ts";
import { runCliIn } from "../support/run-cli.ts";
import { startSink } from "../support/running-sink.ts";
import { type SinkFixture, sinkFixture } from "../support/sink-fixture.ts";
import { accountConsumer, accountSchema, stackRegistry, team } from "../support/teams.ts";

const TEXT = { type: "string" };
const MESSAGE = "Read v2: accounts have several addresses.";

describe("deprecating a major version", () => {
  test("marks it in manifest and registry, changes no contract and no id, and is taken back", async () => {
    await using accounts = await team();
    await accounts.define({ publicSchemas: [accountSchema({ email: TEXT })] });
    const registry = stackRegistry();
    const { value } = subjects(`${accounts.slug}.account.v1`);
    const deprecate = async (...flags: string[]) => {
      const result = await accounts.run("schema", "deprecate", "account", "--major", "1", "--json", ...flags);
      expect(result.exitCode).toBe(0);
      return JSON.parse(result.stdout);
    };
    const inRegistry = async () => deprecationOf((await registry.latest(value)) as never);
    expect(await deprecate("--message", "soon")).toMatchObject({ registry: "not registered", consumers: [] });
    const registered = JSON.parse((await accounts.run("schema", "register", "--json")).stdout);
    expect(await inRegistry()).toMatchObject({ message: "soon" });
    const told = await deprecate("--message", MESSAGE, "--since", "2026-11-01");
    expect(told).toMatchObject({ registry: "told", deprecated: { since: "2026-11-01", message: MESSAGE } });
    expect(await inRegistry()).toEqual({ since: "2026-11-01", message: MESSAGE });
    expect((await readManifest(accounts.file)).publicSchemas?.[0]?.deprecated).toEqual(told.deprecated);
    expect(await deprecate()).toMatchObject({ registry: "unchanged" });

    await accounts.run("schema", "write");
    const check = await accounts.run("schema", "check", "--against", "schemas,registry");
    expect(check).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/no errors\n$/) });
    expect(check.stderr).not.toMatch(/SCHEMA_/);
    const again = JSON.parse((await accounts.run("schema", "register", "--json")).stdout);
    expect(again.subjects.map((s: { id: number }) => s.id)).toEqual(
      registered.subjects.map((s: { id: number }) => s.id),
    );
    expect(await registry.compatibilityOf(value)).toBe("FULL_TRANSITIVE");

    expect(await deprecate("--undo")).toMatchObject({ registry: "told", deprecated: null });
    expect(await inRegistry()).toBeUndefined();
    expect((await readManifest(accounts.file)).publicSchemas?.[0]).not.toHaveProperty("deprecated");
    expect(await deprecate("--message", MESSAGE, "--since", "2026-11-01")).toMatchObject({
      registry: "told",
    });
    expect(await inRegistry()).toEqual({ since: "2026-11-01", message: MESSAGE });
  });

  test("warns consumers by name where they are checked: of the workspace, and by the registry", async () => {
    const deprecated = { since: "2026-11-01", message: MESSAGE };
    await using accounts = await team({ publicSchemas: [accountSchema({ email: TEXT }, { deprecated })] });
    expect((await accounts.run("schema", "register")).exitCode).toBe(0);
    await using shop = await team({ consumerSchemas: [accountConsumer(accounts.slug, "SELECT :email")] });
    const warning = `${shop.slug}/customer reads ${accounts.slug}/account v1, deprecated since 2026-11-01: ${MESSAGE}`;
    const byRegistry = await shop.run("schema", "check", "--against", "registry");
    expect(byRegistry.stderr).toContain("warning SCHEMA_DEPRECATED: ");
    expect(byRegistry.stderr).toContain(warning);
    expect(byRegistry.exitCode).toBe(0);
    expect((await shop.run("schema", "list")).stdout).toMatch(
      new RegExp(
        `customer +reads ${accounts.slug}/account v1 +registered +deprecated since 2026-11-01: Read v2`,
      ),
    );
    await shop.define({
      consumerSchemas: [accountConsumer(accounts.slug, "SELECT :email")],
      workspaces: [accounts.file],
    });
    expect((await shop.run("manifest", "info")).stdout).toContain(warning);
    const listed = await accounts.run("schema", "deprecate", "account", "--major", "1");
    expect(listed.stdout).toContain("no known consumer reads it");
    expect((await shop.run("schema", "register-consumers")).exitCode).toBe(0);
    const known = await accounts.run("schema", "deprecate", "account", "--major", "1");
    expect(known.stdout).toContain(`read by ${shop.slug}/customer`);
  });

  test("wrong names and numbers are told what there is", async () => {
    await using accounts = await team({ publicSchemas: [accountSchema({ email: TEXT })] });
    const deprecate = (...args: string[]) => accounts.run("schema", "deprecate", ...args);
    expect(await deprecate("acount", "--major", "1")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/SCHEMA_NOT_IN_MANIFEST: .*there is "account" v1/),
    });
    expect((await deprecate("account", "--major", "one")).exitCode).toBe(2);
    expect((await deprecate("account")).exitCode).toBe(2);
    const bad = await deprecate("account", "--major", "1", "--since", "soon");
    expect(bad).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("use a date") });
  });
});

const ITEM = {
  name: "item",
  properties: { id: { type: "integer" }, label: { type: "string" } },
  required: ["id", "label"],
  key: ["id"],
  partitions: 1,
};
const event = (id: number) => ({ key: { id }, value: { id, label: "x" } });

function fixtureOf(): Promise<SinkFixture> {
  const sql = "INSERT INTO item VALUES (:id, :label)";
  return sinkFixture({
    schemas: [ITEM, { ...ITEM, name: "other" }],
    consumers: [
      { name: "items", schema: "item", sql, deletes: "ignore" },
      { name: "others", schema: "other", sql, deletes: "ignore" },
    ],
    sql: "CREATE TABLE item (id bigint, label text)",
  });
}

describe("while a sink runs", () => {
  test("it warns of deprecated versions with the names of those who read them, and goes on", async () => {
    await using fixture = await fixtureOf();
    await fixture.publish("item", [event(1)]);
    await fixture.publish("other", [event(2)]);
    const folder = dirname(fixture.manifestPath);
    const args = ["schema", "deprecate", "item", "--major", "1", "--message", MESSAGE];
    expect(await runCliIn(folder, args)).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("read by fixture/items"),
    });
    await using sink = await startSink(fixture.manifestPath);
    await sink.eventually(async () => sink.unit().details?.warnings, "the warning");
    expect(sink.unit().details?.warnings).toMatchObject([
      {
        code: "SCHEMA_DEPRECATED",
        message: expect.stringMatching(/fixture\/items reads fixture\/item v1, deprecated since .*: Read v2/),
      },
    ]);
    await sink.eventually(
      async () => (await fixture.database.query("SELECT id FROM item")).length === 2,
      "the events",
    );
  });

  test("removing what it reads is refused with the group's name, forced if asked, and free once it has moved on", async () => {
    await using fixture = await fixtureOf();
    const folder = dirname(fixture.manifestPath);
    const remove = (name: string, ...flags: string[]) =>
      runCliIn(folder, ["schema", "remove", name, "--major", "1", ...flags]);
    const names = async () =>
      (await readManifest(fixture.manifestPath)).publicSchemas?.map(({ name }) => name);
    await fixture.publish("item", [event(1)]);
    await fixture.publish("other", [event(2)]);
    {
      await using sink = await startSink(fixture.manifestPath);
      await sink.eventually(async () => (await committed(fixture, "item")) > 0, "the group's offsets");
      const refused = await remove("item");
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toMatch(
        /SCHEMA_STILL_READ: .*"item" v1 is read by fixture\/items, group ".*rejot\.sink\.fixture\.destination" \(Stable, 1 member, \d+ records? behind, last commit 2/,
      );
      expect(await names()).toEqual(["item", "other"]);
    }
    // Nobody is there now, but what was committed would go on.
    expect((await remove("item", "--json")).stdout).toContain("no members");

    const alone = structuredClone(fixture.manifest);
    alone.consumerSchemas = (alone.consumerSchemas ?? []).filter(({ name }) => name === "others");
    await writeFile(fixture.manifestPath, JSON.stringify(alone));
    await using sink = await startSink(fixture.manifestPath);
    await sink.waitForActive();
    const left = await remove("item");
    expect(left).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("removed item v1") });
    expect(await names()).toEqual(["other"]);
    const forced = await remove("other", "--force");
    expect(forced.stdout).toMatch(/removed other v1 from .*, although it is read by fixture\/others, group/);
    expect(await names()).toEqual([]);
  });
});

async function committed({ admin, group, topic }: SinkFixture, schema: string): Promise<number> {
  const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic(schema)] });
  return Math.max(0, ...(found?.partitions ?? []).map(({ offset }) => Number(offset)));
}
