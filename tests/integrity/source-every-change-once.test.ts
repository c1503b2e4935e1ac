import { describe, expect, test } from "vitest";
import { createSourceFixture, expectEveryPositionOnce, opsOf, transformationsOf } from "../support/source.ts";

const ACCOUNTS = {
  sql: "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL, n int NOT NULL DEFAULT 0)",
  schemas: [
    {
      name: "account",
      fields: { id: "integer", name: "string", n: "integer" },
      transformations: transformationsOf(
        "accounts",
        "SELECT id, name, n FROM accounts WHERE id = :id",
        "SELECT :id AS id",
      ),
    },
  ],
} as const;

describe("every change of a transaction becomes one event, in order", () => {
  test("N rows of one transaction are written once each, at positions 0 to N-1", async () => {
    await using fixture = await createSourceFixture(ACCOUNTS);
    await using _source = await fixture.start();
    await fixture.database.query(
      "BEGIN; INSERT INTO accounts SELECT i, 'a' || i FROM generate_series(1, 7) i; UPDATE accounts SET n = id; DELETE FROM accounts WHERE id > 5; COMMIT",
    );
    await fixture.published();
    const records = await fixture.read("account");
    expect(records).toHaveLength(16);
    expectEveryPositionOnce(records);
    expect(opsOf(records).join("")).toBe("cccccccuuuuuuudd");
    expect(new Set(records.map((record) => record.change?.split(":")[1])).size).toBe(1);
    expect(records.slice(0, 7).map((record) => record.value)).toEqual(
      Array.from({ length: 7 }, (_, i) => ({ id: i + 1, name: `a${i + 1}`, n: 0 })),
    );
    expect(records.slice(14).map(({ key, value }) => [key, value])).toEqual([
      [{ id: 6 }, null],
      [{ id: 7 }, null],
    ]);
  });
});
