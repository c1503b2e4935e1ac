import { expect, inject, test } from "vitest";
import { startProxy } from "../support/proxy.ts";
import { createSourceFixture, expectEveryPositionOnce, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

test("a network to Postgres that swallows everything is noticed; nothing is lost or published twice", async () => {
  await using proxy = await startProxy(inject("stack").postgres);
  await using fixture = await createSourceFixture({
    sql: "CREATE TABLE rows (id bigint PRIMARY KEY, n int NOT NULL)",
    schemas: [
      {
        name: "row",
        fields: { id: "integer", n: "integer" },
        transformations: transformationsOf(
          "rows",
          "SELECT :id::bigint AS id, (SELECT max(n) FROM rows WHERE id = :id) AS n",
          "SELECT :id AS id",
        ),
      },
    ],
    connection: () => ({ host: proxy.host, port: proxy.port }),
  });
  await using source = await fixture.start({ heartbeatMs: 500, takeoverMs: 2_000 });
  const insert = (id: number) => fixture.database.query("INSERT INTO rows VALUES ($1, 1)", [id]);
  for (let id = 1; id <= 20; id++) await insert(id);
  proxy.stall();
  for (let id = 21; id <= 40; id++) await insert(id);
  await waitFor(() => source.status.lastError?.code === "POSTGRES_UNREACHABLE", {
    timeoutMs: 40_000,
    describe: () => `the silence to be noticed: ${JSON.stringify(source.status)}`,
  });
  proxy.cut();
  proxy.heal();
  await waitFor(() => source.status.role === "active", {
    timeoutMs: 40_000,
    describe: () => `the source to be active again: ${JSON.stringify(source.status)}`,
  });
  for (let id = 41; id <= 50; id++) await insert(id);
  await fixture.published();
  const records = await fixture.read("row");
  expectEveryPositionOnce(records);
  expect(records.map(({ key }) => (key as { id: number }).id)).toEqual(
    Array.from({ length: 50 }, (_, i) => i + 1),
  );
});
