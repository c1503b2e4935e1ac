import { join } from "node:path";
import { ConfigResourceTypes } from "kafkajs";
import { describe, expect, inject, test } from "vitest";
import { freePort } from "../../compose/dev-stack/ports.ts";
import { startPostgres } from "../../compose/dev-stack/postgres-server.ts";
import { makeStackDirectory, removeStackDirectory } from "../../compose/dev-stack/stack.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { ERRORS, type ErrorCode } from "../../shared/errors/table.ts";
import type { Transformation } from "../../shared/manifest/schema.ts";
import { createDatabase } from "../support/database.ts";
import { createTopics, kafkaAdmin } from "../support/kafka.ts";
import { randomName } from "../support/names.ts";
import {
  createSourceFixture,
  type SourceFixture,
  type SourceOptions,
  type TestSchema,
  transformationsOf,
} from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const TABLES = `
  CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL, n int NOT NULL DEFAULT 1);
  CREATE TABLE bare (id bigint, name text);
  CREATE TABLE nothing (id bigint PRIMARY KEY, name text);
  ALTER TABLE nothing REPLICA IDENTITY NOTHING;
  CREATE TABLE late (id bigint PRIMARY KEY DEFERRABLE, name text);`;

const SELECT = "SELECT id, name, n FROM accounts WHERE id = :id";

function accounts(transformations: readonly Transformation[]): TestSchema {
  return {
    name: "account",
    fields: { id: "integer", name: "string", n: "integer" },
    key: ["id"],
    transformations,
  };
}

function fixtureOf(transformations: readonly Transformation[], more: Partial<SourceOptions> = {}) {
  return createSourceFixture({ sql: TABLES, schemas: [accounts(transformations)], ...more });
}

/** The error that keeps the source from starting; it says what to do and ends the process with 1. */
async function refusal(fixture: SourceFixture): Promise<RejotError> {
  const error = await fixture.start().then(
    async (source) => {
      await source.stop();
      throw new Error("it started");
    },
    (reason: unknown) => reason,
  );
  return checked(error);
}

function checked(error: unknown): RejotError {
  if (!(error instanceof RejotError)) throw error;
  expect(error.hint.length).toBeGreaterThan(10);
  expect(error.retryable).toBe(false);
  expect(ERRORS[error.code].exitCode).toBe(1);
  return error;
}

describe("a manifest that cannot work is refused at the start", () => {
  const TRANSFORMATIONS: readonly [string, ErrorCode, RegExp, Transformation[]][] = [
    [
      "SQL that does not parse",
      "SQL_DOES_NOT_PARSE",
      /SELEC/,
      transformationsOf("accounts", "SELEC id FROM accounts"),
    ],
    [
      "two statements",
      "SQL_NOT_ONE_STATEMENT",
      /there are 2/,
      transformationsOf("accounts", `${SELECT}; SELECT 1`),
    ],
    [
      "two transformations for the same changes",
      "TRANSFORMATION_REPEATED",
      /insert of "public"\.accounts/,
      [
        ...transformationsOf("accounts", SELECT),
        { operation: "insert", table: '"public".accounts', sql: SELECT },
      ],
    ],
    [
      "a statement that writes",
      "TRANSFORMATION_NOT_SELECT",
      /accounts/,
      transformationsOf("accounts", "DELETE FROM accounts WHERE id = :id RETURNING id, name, n"),
    ],
    [
      "a statement that takes back its role",
      "SQL_NOT_A_SELECT",
      /set_config/,
      transformationsOf(
        "accounts",
        "SELECT id, set_config('role', 'none', true) AS name, n FROM accounts WHERE id = :id",
      ),
    ],
    [
      "a column that does not exist",
      "TRANSFORMATION_REJECTED",
      /nam.*does not exist/s,
      transformationsOf("accounts", "SELECT id, nam AS name, n FROM accounts WHERE id = :id"),
    ],
    ["a table that does not exist", "TABLE_NOT_FOUND", /acounts/, transformationsOf("acounts", SELECT)],
    [
      "another table that does not exist",
      "TRANSFORMATION_REJECTED",
      /owners/,
      transformationsOf(
        "accounts",
        "SELECT a.id, o.name, a.n FROM accounts a JOIN owners o ON o.id = a.id WHERE a.id = :id",
      ),
    ],
    [
      "an unknown placeholder",
      "TRANSFORMATION_PLACEHOLDER_UNKNOWN",
      /:ident.*which has id, name, n/,
      transformationsOf("accounts", "SELECT id, name, n FROM accounts WHERE id = :ident"),
    ],
    [
      "a position beyond the table's columns",
      "TRANSFORMATION_PLACEHOLDER_UNKNOWN",
      /\$4/,
      transformationsOf("accounts", "SELECT id, name, n FROM accounts WHERE id = $4"),
    ],
    [
      "a delete that uses more than the identity keeps",
      "TRANSFORMATION_PLACEHOLDER_UNKNOWN",
      /:name.*deleted row.*has id/s,
      transformationsOf("accounts", SELECT, "SELECT :id::bigint AS id WHERE :name <> ''"),
    ],
    [
      "a delete that reads the deleted row",
      "TRANSFORMATION_READS_DELETED_ROW",
      /accounts/,
      transformationsOf("accounts", SELECT, "SELECT id FROM accounts WHERE id = :id AND n > 0"),
    ],
    [
      "a column missing in the output",
      "OUTPUT_COLUMN_MISSING",
      /\bn\b/,
      transformationsOf("accounts", "SELECT id, name FROM accounts WHERE id = :id"),
    ],
    [
      "a key missing in a delete's output",
      "DELETE_WITHOUT_KEY",
      /id/,
      transformationsOf("accounts", SELECT, "SELECT :id AS ident"),
    ],
    [
      "a table without a primary key",
      "TABLE_WITHOUT_IDENTITY",
      /public\.bare/,
      transformationsOf("bare", "SELECT :id::bigint AS id, 'x' AS name, 1 AS n"),
    ],
    [
      "REPLICA IDENTITY NOTHING",
      "TABLE_WITHOUT_IDENTITY",
      /public\.nothing/,
      transformationsOf("nothing", "SELECT :id::bigint AS id, 'x' AS name, 1 AS n"),
    ],
    [
      "a deferrable primary key",
      "TABLE_WITHOUT_IDENTITY",
      /public\.late/,
      transformationsOf("late", "SELECT :id::bigint AS id, 'x' AS name, 1 AS n"),
    ],
  ];

  test.each(TRANSFORMATIONS)("%s: %s", async (_name, code, message, transformations) => {
    await using fixture = await fixtureOf(transformations);
    const error = await refusal(fixture);
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    const left = await fixture.database.query(
      "SELECT slot_name FROM pg_replication_slots WHERE slot_name = $1",
      [fixture.slotName],
    );
    expect(left).toEqual([]);
  });

  test("a role without REPLICATION", async () => {
    const role = randomName("role");
    await using fixture = await fixtureOf(transformationsOf("accounts", SELECT), {
      connection: () => ({ user: role, password: "secret" }),
    });
    await fixture.database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    const error = await refusal(fixture);
    expect([error.code, error.message]).toEqual(["ROLE_WITHOUT_REPLICATION", expect.stringContaining(role)]);
  });

  test("a wrong password", async () => {
    await using fixture = await fixtureOf(transformationsOf("accounts", SELECT), {
      connection: () => ({ password: "wrong" }),
    });
    expect((await refusal(fixture)).code).toBe("POSTGRES_REFUSED");
  });

  test("a role that may replicate but does not own the tables is told what to run", async () => {
    const role = randomName("role");
    await using fixture = await fixtureOf(transformationsOf("accounts", SELECT), {
      connection: () => ({ user: role, password: "secret" }),
    });
    await fixture.database.query(
      `CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'secret'; GRANT SELECT ON accounts TO ${role}`,
    );
    const error = await refusal(fixture);
    expect([error.code, error.hint]).toEqual([
      "PUBLICATION_INCOMPLETE",
      expect.stringContaining(
        `CREATE PUBLICATION "${fixture.publicationName}" FOR TABLE "public"."accounts"`,
      ),
    ]);
    await fixture.database.query(error.hint.slice(error.hint.indexOf("CREATE")));
    await using _source = await fixture.start();
  });

  test.each([
    ["leaves out TRUNCATE", "FOR TABLE accounts WITH (publish = 'insert, update, delete')", "SET (publish ="],
    ["leaves out deletes", "FOR TABLE accounts WITH (publish = 'insert, update')", "SET (publish ="],
    [
      "leaves out rows",
      "FOR TABLE accounts WHERE (id > 5) WITH (publish_via_partition_root = true)",
      "DROP TABLE",
    ],
    ["shows partitions instead of the table", "FOR TABLE parts", "SET (publish_via_partition_root = true)"],
  ])("a publication that %s", async (_name, what, hint) => {
    const select = "SELECT id, name, n FROM parts WHERE id = :id";
    await using fixture = await createSourceFixture({
      sql: `${TABLES} CREATE TABLE parts (id bigint PRIMARY KEY, name text NOT NULL, n int NOT NULL) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100); CREATE TABLE parts_2 PARTITION OF parts DEFAULT`,
      schemas: [
        accounts([
          ...transformationsOf("parts", select, "SELECT :id AS id"),
          ...transformationsOf("accounts", SELECT),
        ]),
      ],
    });
    await fixture.database.query(`CREATE PUBLICATION ${fixture.publicationName} ${what}`);
    const error = await refusal(fixture);
    expect([error.code, error.hint]).toEqual(["PUBLICATION_INCOMPLETE", expect.stringContaining(hint)]);
    await fixture.database.query(error.hint.slice(error.hint.indexOf("ALTER")));
    // Mended one by one: the second publication lacks nothing else, the first one has parts not yet.
    await fixture.database.query(
      `ALTER PUBLICATION ${fixture.publicationName} SET (publish_via_partition_root = true)`,
    );
    await using _source = await fixture.start();
    await fixture.database.query(
      "INSERT INTO parts VALUES (1, 'a', 1), (1000, 'b', 1); UPDATE parts SET id = 50 WHERE id = 1000; DELETE FROM parts WHERE id = 1",
    );
    await fixture.published();
    // A row that moves between partitions is a delete and an insert to Postgres.
    expect(
      (await fixture.read("account")).map(({ change, key }) => [change?.[0], (key as { id: number }).id]),
    ).toEqual([
      ["c", 1],
      ["c", 1000],
      ["d", 1000],
      ["c", 50],
      ["d", 1],
    ]);
  });

  test("a publication without TRUNCATE will do where that is ignored", async () => {
    await using fixture = await fixtureOf(transformationsOf("accounts", SELECT));
    await fixture.database.query(
      `CREATE PUBLICATION ${fixture.publicationName} FOR TABLE accounts WITH (publish = 'insert, update, delete')`,
    );
    await using source = await fixture.start({ onTruncate: "ignore" });
    expect(source.status.role).toBe("active");
  });

  test("wal_level that is not logical", async () => {
    const directory = await makeStackDirectory("/tmp");
    const server = await startPostgres({
      directory: join(directory, "postgres"),
      port: await freePort(),
      settings: { wal_level: "replica", fsync: "off" },
    });
    try {
      const { host, port, user, password } = server;
      await using fixture = await fixtureOf(transformationsOf("accounts", SELECT), {
        stack: { ...inject("stack"), postgres: { host, port, user, password } },
      });
      const error = await refusal(fixture);
      expect([error.code, error.message]).toEqual([
        "WAL_LEVEL_NOT_LOGICAL",
        expect.stringContaining("replica"),
      ]);
    } finally {
      await server.stop();
      await removeStackDirectory(directory);
    }
  });

  test("the process says code, cause and hint on stderr and exits 1", async () => {
    await using fixture = await fixtureOf(
      transformationsOf("bare", "SELECT :id::bigint AS id, 'x' AS name, 1 AS n"),
    );
    await using source = await fixture.spawn();
    expect(await source.exited).toBe(1);
    expect(source.log.join("\n")).toMatch(/TABLE_WITHOUT_IDENTITY: .*public\.bare[\s\S]*hint: /);
  });
});

describe("a slot that is not what it was is not read", () => {
  const WORKING = transformationsOf("accounts", SELECT, "SELECT :id AS id");

  async function publishedOnce(fixture: SourceFixture): Promise<void> {
    await using _source = await fixture.start();
    await fixture.database.query("INSERT INTO accounts VALUES (1, 'one')");
    await fixture.published();
  }

  test("dropped after there was progress", async () => {
    await using fixture = await fixtureOf(WORKING);
    await publishedOnce(fixture);
    await fixture.database.query("SELECT pg_drop_replication_slot($1)", [fixture.slotName]);
    const error = await refusal(fixture);
    expect([error.code, error.message]).toEqual(["SLOT_LOST", expect.stringContaining(fixture.slotName)]);
  });

  test("advanced by something else", async () => {
    await using fixture = await fixtureOf(WORKING);
    await publishedOnce(fixture);
    await fixture.database.query("INSERT INTO accounts VALUES (2, 'two')");
    await fixture.database.query("SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())", [
      fixture.slotName,
    ]);
    expect((await refusal(fixture)).code).toBe("PROGRESS_BEHIND_SLOT");
  });

  test("of another database", async () => {
    await using fixture = await fixtureOf(WORKING);
    await using other = await createDatabase();
    await other.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [fixture.slotName]);
    expect((await refusal(fixture)).code).toBe("SLOT_NOT_OURS");
  });
});

describe("what goes wrong in the stream stops it before anything of it is published", () => {
  test("a TRUNCATE stops; told to ignore it, the source goes on", async () => {
    await using fixture = await fixtureOf(transformationsOf("accounts", SELECT, "SELECT :id AS id"));
    {
      await using source = await fixture.start();
      await fixture.database.query("INSERT INTO accounts VALUES (1, 'one')");
      await fixture.published();
      await fixture.database.query("TRUNCATE accounts; INSERT INTO accounts VALUES (2, 'two')");
      const error = checked(await source.connector.done.catch((reason: unknown) => reason));
      expect([error.code, error.message]).toEqual([
        "TRUNCATE_STOPS",
        expect.stringContaining("public.accounts"),
      ]);
      expect(source.status).toMatchObject({ role: "failed", lastError: { code: "TRUNCATE_STOPS" } });
    }
    await using _source = await fixture.start({ onTruncate: "ignore" });
    await fixture.published();
    expect((await fixture.read("account")).map(({ key }) => key)).toEqual([{ id: 1 }, { id: 2 }]);
  });

  test("a transformation that fails for one row names the row; the transactions before are published", async () => {
    await using fixture = await fixtureOf(
      transformationsOf("accounts", "SELECT id, name, 100 / n AS n FROM accounts WHERE id = :id"),
    );
    await using source = await fixture.start();
    await fixture.database.query("INSERT INTO accounts SELECT i, 'ok', 1 FROM generate_series(1, 10) i");
    await fixture.published();
    await fixture.database.query(
      "INSERT INTO accounts SELECT i, 'row', CASE i WHEN 77 THEN 0 ELSE 1 END FROM generate_series(11, 100) i",
    );
    const error = checked(await source.connector.done.catch((reason: unknown) => reason));
    expect([error.code, error.message]).toEqual([
      "TRANSFORMATION_FAILED",
      expect.stringMatching(/account.*insert.*division by zero.*id=77/),
    ]);
    expect(error.context).toMatchObject({ sqlState: "22012" });
    expect(await fixture.read("account")).toHaveLength(10);
  });

  test("a value that its field cannot hold names the object, the change and the field", async () => {
    await using fixture = await fixtureOf(
      transformationsOf(
        "accounts",
        "SELECT id, nullif(name, 'nobody') AS name, n FROM accounts WHERE id = :id",
      ),
    );
    await using source = await fixture.start();
    await fixture.database.query("INSERT INTO accounts VALUES (1, 'one'), (2, 'nobody')");
    const error = checked(await source.connector.done.catch((reason: unknown) => reason));
    expect([error.code, error.message]).toEqual([
      "VALUE_NULL",
      expect.stringMatching(/account v1, key id=2, change c:[0-9A-F]+\/[0-9A-F]+:1: .*name/),
    ]);
    expect(await fixture.read("account")).toEqual([]);
  });

  test("a transformation that writes fails, instead of being tried for ever", async () => {
    await using fixture = await createSourceFixture({
      sql: `${TABLES} CREATE SEQUENCE s`,
      schemas: [
        accounts(
          transformationsOf("accounts", "SELECT id, name, nextval('s') AS n FROM accounts WHERE id = :id"),
        ),
      ],
    });
    await using source = await fixture.start();
    await fixture.database.query("INSERT INTO accounts VALUES (1, 'one')");
    const error = checked(await source.connector.done.catch((reason: unknown) => reason));
    expect([error.code, error.context.sqlState]).toEqual(["TRANSFORMATION_FAILED", "25006"]);
  });

  test("a joined table whose column changes its type is planned anew", async () => {
    await using fixture = await createSourceFixture({
      sql: `${TABLES} CREATE TABLE details (id bigint PRIMARY KEY, d int NOT NULL); INSERT INTO details VALUES (1, 7)`,
      schemas: [
        accounts(
          transformationsOf(
            "accounts",
            "SELECT a.id, a.name, d.d AS n FROM accounts a JOIN details d ON d.id = a.id WHERE a.id = :id",
          ),
        ),
      ],
    });
    await using source = await fixture.start();
    await fixture.database.query("INSERT INTO accounts VALUES (1, 'one')");
    await fixture.published();
    await fixture.database.query("ALTER TABLE details ALTER d TYPE bigint");
    await fixture.database.query("UPDATE accounts SET name = 'two'");
    await fixture.published();
    await waitFor(() => source.status.role === "active", { describe: "the source to be active again" });
    expect((await fixture.read("account")).map(({ value }) => value)).toEqual([
      { id: 1, name: "one", n: 7 },
      { id: 1, name: "two", n: 7 },
    ]);
  });
});

test("a progress topic out of which brokers delete by age is refused; events' topics like that are only warned of", async () => {
  await using fixture = await fixtureOf(transformationsOf("accounts", SELECT, "SELECT :id AS id"));
  await using admin = await kafkaAdmin();
  const made = { numPartitions: 1, configEntries: [{ name: "cleanup.policy", value: "compact,delete" }] };
  await createTopics(admin, [{ topic: fixture.topicOf("account"), ...made }]);
  await (await fixture.start()).stop();
  const topic = fixture.progressTopic;
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: made.configEntries }],
  });
  expect(await refusal(fixture)).toMatchObject({
    code: "TOPIC_RETENTION",
    message: expect.stringContaining(topic),
  });
});
