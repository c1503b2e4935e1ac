import { expect } from "vitest";
import type { OwnPostgres } from "./own-postgres.ts";
import { createSourceFixture, type SourceFixture, type SourceOptions, transformationsOf } from "./source.ts";

/** What the sources here publish, and a table that they do not. */
export const TABLES = `
  CREATE TABLE rows (id bigint PRIMARY KEY, n int NOT NULL);
  CREATE TABLE elsewhere (filler text)`;

/** A source over the table `rows` of a server. */
export function rowsFixture(
  { stack }: Pick<OwnPostgres, "stack">,
  { deletes = true, ...more }: Partial<SourceOptions> & { deletes?: boolean } = {},
): Promise<SourceFixture> {
  return createSourceFixture({
    stack,
    sql: TABLES,
    schemas: [
      {
        name: "row",
        fields: { id: "integer", n: "integer" },
        transformations: transformationsOf(
          "rows",
          "SELECT id, n FROM rows WHERE id = :id",
          deletes ? "SELECT :id AS id" : undefined,
        ),
      },
    ],
    ...more,
  });
}

/** Inserts rows of these ids. */
export async function insertRows(fixture: SourceFixture, from: number, to: number): Promise<void> {
  await fixture.database.query("INSERT INTO rows SELECT i, 1 FROM generate_series($1::int, $2) i", [
    from,
    to,
  ]);
}

/** Ten rows are published, and the source has stopped. */
export async function publishTenRows(fixture: SourceFixture): Promise<void> {
  await using _source = await fixture.start();
  await insertRows(fixture, 1, 10);
  await fixture.published();
}

/** A new source is kept from starting by this error, and nothing more is in the topic than the first ten rows. */
export async function expectRefused(fixture: SourceFixture, expected: object): Promise<void> {
  await expect(fixture.start()).rejects.toMatchObject({ retryable: false, ...expected });
  expect(await fixture.read("row", { decode: false })).toHaveLength(10);
}
