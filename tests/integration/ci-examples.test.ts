import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { randomName } from "../support/names.ts";
import { type Edit, TeamRepository } from "../support/team-repository.ts";

const slugs = {
  accounts: randomName("accounts").replaceAll("_", "-"),
  billing: randomName("billing").replaceAll("_", "-"),
};
const MANIFEST = "rejot-manifest.json";
const SCHEMAS = "schemas.ts";
const TABLES = "migrations/001-customers.sql";
const SELECT = "SELECT id, full_name AS name, email, state FROM customers WHERE id = :id";

let publishing: TeamRepository;
let consuming: TeamRepository;

beforeAll(async () => {
  publishing = await TeamRepository.create("publishing-team", [
    [MANIFEST, '"slug": "accounts"', `"slug": "${slugs.accounts}"`],
  ]);
  await publishing.rejot("schema", "write");
  await publishing.commit({ merge: true });
  consuming = await TeamRepository.create("consuming-team", [
    [MANIFEST, '"slug": "billing"', `"slug": "${slugs.billing}"`],
    [MANIFEST, '"sourceManifestSlug": "accounts"', `"sourceManifestSlug": "${slugs.accounts}"`],
    [SCHEMAS, 'manifestSlug: "accounts"', `manifestSlug: "${slugs.accounts}"`],
  ]);
  await consuming.commit({ merge: true });
});

afterAll(async () => {
  await publishing?.[Symbol.asyncDispose]();
  await consuming?.[Symbol.asyncDispose]();
});

describe.sequential("the examples for CI", () => {
  test("what was merged is green, and is registered on release, the consumers' side too", async () => {
    expect(await publishing.run("check.sh")).toMatchObject({ exitCode: 0 });
    expect(await publishing.run("release.sh")).toMatchObject({
      exitCode: 0,
      output: expect.stringContaining(`${slugs.accounts}.customer.v1-value`),
    });
    expect(await consuming.run("check.sh")).toMatchObject({ exitCode: 0 });
    expect(await consuming.run("release.sh")).toMatchObject({ exitCode: 0 });
  });

  describe("a publishing team's red build", () => {
    afterEach(() => publishing.reset());

    test.each<[string, Edit[], RegExp]>([
      [
        "an internal column renamed by a migration",
        [[TABLES, "full_name text", "display_name text"]],
        /error \w+: .*column "full_name" does not exist[\s\S]*schemas\.ts:\d+[\s\S]*"customer" v1/,
      ],
      [
        "an internal column of another type",
        [[TABLES, "id bigint GENERATED ALWAYS AS IDENTITY", "id uuid"]],
        /error \w+: .*\bid\b.*uuid[\s\S]*"customer" v1/,
      ],
      [
        "a dropped table",
        [[TABLES, "CREATE TABLE customers", "CREATE TABLE people"]],
        /error \w+: .*customers[\s\S]*"customer" v1/,
      ],
      [
        "a field removed that a team outside uses",
        [
          [SCHEMAS, "    email: z.string().nullable(),\n", ""],
          [SCHEMAS, SELECT, SELECT.replace(" email,", "")],
          [SCHEMAS, "minor: 0", "minor: 1"],
        ],
        /"?invoice-recipient"?[\s\S]*:email/,
      ],
      [
        "a field added without a default",
        [
          [SCHEMAS, "    email:", "    phone: z.string(),\n    email:"],
          [SCHEMAS, SELECT, SELECT.replace("email,", "email, 'none' AS phone,")],
          [SCHEMAS, "minor: 0", "minor: 1"],
        ],
        /SCHEMA_INCOMPATIBLE: .*"phone".*needs version 2\.0/,
      ],
      [
        "a value of an enum removed",
        [
          [SCHEMAS, '["active", "closed"]', '["active"]'],
          [SCHEMAS, "minor: 0", "minor: 1"],
        ],
        /SCHEMA_INCOMPATIBLE: .*"closed"/,
      ],
      [
        "another key",
        [
          [SCHEMAS, 'key: ["id"]', 'key: ["name"]'],
          [SCHEMAS, '"SELECT :id AS id"', '"SELECT full_name AS name FROM customers WHERE id = :id"'],
        ],
        /SCHEMA_INCOMPATIBLE: .*the key is \(name\) now, it was \(id\)/,
      ],
      [
        "SQL that writes",
        [
          [
            SCHEMAS,
            SELECT,
            "UPDATE customers SET state = 'closed' WHERE id = :id RETURNING id, full_name AS name, email, state",
          ],
        ],
        /SQL_NOT_A_SELECT: .*it updates/,
      ],
      ["two statements", [[SCHEMAS, SELECT, `${SELECT}; ${SELECT}`]], /SQL_NOT_ONE_STATEMENT/],
    ])("%s", async (_name, edits, words) => {
      await publishing.edit(...edits);
      await publishing.rejot("collect", "--write", SCHEMAS);
      await publishing.commit();
      const { exitCode, output } = await publishing.run("check.sh");
      expect(output).toMatch(words);
      expect(exitCode).toBe(1);
    });

    test("a manifest that is not what the code says", async () => {
      await publishing.edit([SCHEMAS, SELECT, SELECT.replace("full_name", "lower(full_name)")]);
      await publishing.commit();
      const { exitCode, output } = await publishing.run("check.sh");
      expect([exitCode, output]).toEqual([
        1,
        expect.stringContaining("The manifest is not what the code says"),
      ]);
    });

    test("a registry that cannot be reached is 3, not a broken contract", async () => {
      const { exitCode, output } = await publishing.run("check.sh", {
        SCHEMA_REGISTRY_URL: "http://127.0.0.1:1",
      });
      expect([exitCode, output]).toEqual([3, expect.stringContaining("REGISTRY_UNREACHABLE")]);
    });

    test("in GitHub's form, findings name file and line", async () => {
      await publishing.edit([TABLES, "full_name text", "display_name text"]);
      await publishing.commit();
      const { output } = await publishing.run("check.sh", { FORMAT: "github" });
      expect(output).toMatch(/^::error (?=.*file=schemas\.ts)(?=.*line=\d+).*full_name/m);
    });
  });

  describe("a publishing team's green build", () => {
    afterEach(() => publishing.reset());

    test("an internal column renamed together with the SELECT", async () => {
      await publishing.edit(
        [TABLES, "full_name text", "display_name text"],
        [SCHEMAS, "full_name AS", "display_name AS"],
      );
      await publishing.rejot("collect", "--write", SCHEMAS);
      await publishing.commit();
      expect(await publishing.run("check.sh")).toMatchObject({ exitCode: 0 });
    });

    test("a nullable field more, as a minor version", async () => {
      await publishing.edit(
        [SCHEMAS, "    email:", "    phone: z.string().nullable().default(null),\n    email:"],
        [SCHEMAS, SELECT, SELECT.replace("email,", "email, NULL::text AS phone,")],
        [SCHEMAS, "minor: 0", "minor: 1"],
      );
      await publishing.rejot("collect", "--write", SCHEMAS);
      await publishing.rejot("schema", "write");
      await publishing.commit();
      expect(await publishing.run("check.sh")).toMatchObject({ exitCode: 0 });
    });
  });

  describe("a consuming team's red build", () => {
    afterEach(() => consuming.reset());

    test.each<[string, Edit[], RegExp]>([
      [
        "a column of its own renamed by a migration",
        [["migrations/001-invoice-recipients.sql", "name text", "full_name text"]],
        /error \w+: .*column "name"[\s\S]*"invoice-recipient"/,
      ],
      [
        "a field that is not published",
        [[SCHEMAS, "VALUES (:id, :name, :email)", "VALUES (:id, :name, :mail)"]],
        /error \w+: .*mail[\s\S]*"invoice-recipient"/,
      ],
    ])("%s", async (_name, edits, words) => {
      await consuming.edit(...edits);
      await consuming.rejot("collect", "--write", SCHEMAS);
      await consuming.commit();
      const { exitCode, output } = await consuming.run("check.sh");
      expect(output).toMatch(words);
      expect(exitCode).toBe(1);
    });
  });

  test.each(["publishing-team", "consuming-team"])(
    "the workflow of the %s runs these scripts",
    async (team) => {
      const directory = team === "publishing-team" ? publishing.directory : consuming.directory;
      const workflow = await readFile(join(directory, "github-workflow.yml"), "utf8");
      expect(workflow).toMatch(/run: \.\/check\.sh/);
      expect(workflow).toMatch(/run: \.\/release\.sh/);
    },
  );
});
