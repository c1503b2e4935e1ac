import { expect, inject, test } from "vitest";
import { backfillsOf, waitForBackfill } from "../support/backfill.ts";
import { kafkaAdmin } from "../support/kafka.ts";
import { dropSlot, expectEqual } from "../support/rebuild.ts";
import { insertRows, rowsFixture } from "../support/slot-trouble.ts";

test("a rebuild of a topic that was given more partitions removes what is gone, and nothing else", async () => {
  await using fixture = await rowsFixture({ stack: inject("stack") }, { partitions: 2 });
  {
    await using _source = await fixture.start();
    await insertRows(fixture, 1, 100);
    await fixture.published();
  }
  await using admin = await kafkaAdmin();
  await admin.createPartitions({ topicPartitions: [{ topic: fixture.topicOf("row"), count: 5 }] });
  {
    // Some keys have newer events in their new partitions, some are deleted there.
    await using _source = await fixture.start();
    await fixture.database.query("UPDATE rows SET n = 2 WHERE id % 4 = 0; DELETE FROM rows WHERE id % 5 = 0");
    await fixture.published();
  }
  await dropSlot(fixture);
  await fixture.database.query("DELETE FROM rows WHERE id % 3 = 0");
  await using source = await fixture.start({ onSlotLost: "rebuild" });
  await waitForBackfill(() => source.status, "row.v1");
  await expectEqual(fixture);
  // Every third of those that the stream has not deleted itself.
  expect(backfillsOf(source.status)[0]).toMatchObject({ rows: 53, removed: 27 });
});
