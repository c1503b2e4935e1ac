import { expect, inject, test } from "vitest";
import { kafkaAdmin } from "../support/kafka.ts";
import { createSourceFixture, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

test("a source names a topic that was deleted, and does not fill a new one in its place", async () => {
  await using fixture = await createSourceFixture({
    sql: "CREATE TABLE rows (id bigint PRIMARY KEY)",
    schemas: [
      {
        name: "row",
        key: ["id"],
        fields: { id: "integer" },
        transformations: transformationsOf("rows", "SELECT id FROM rows WHERE id = :id"),
      },
    ],
  });
  const first = await fixture.start();
  await fixture.database.query("INSERT INTO rows SELECT generate_series(1, 50)");
  await fixture.published();
  await first.stop();

  await using admin = await kafkaAdmin(inject("stack").brokers);
  await admin.deleteTopics({ topics: [fixture.topicOf("row")] });
  await waitFor(async () => !(await admin.listTopics()).includes(fixture.topicOf("row")), {
    describe: "the topic to be gone",
  });
  await expect(fixture.start()).rejects.toMatchObject({ code: "TOPIC_LOST_EVENTS" });
  expect(await fixture.read("row")).toEqual([]);
});
