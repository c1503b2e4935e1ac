import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { SpawnedConnector } from "../support/connector.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type SourceFixture,
  transformationsOf,
} from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const COUNTERS = {
  sql: "CREATE TABLE counters (id bigint PRIMARY KEY, n int NOT NULL)",
  schemas: [
    {
      name: "counter",
      fields: { id: "integer", n: "integer" },
      transformations: transformationsOf(
        "counters",
        "SELECT id, n FROM counters WHERE id = :id",
        "SELECT :id AS id",
      ),
    },
  ],
  config: { takeoverMs: 3_000, aliveMs: 200 },
} as const;

async function roleOf(source: SpawnedConnector): Promise<string | undefined> {
  return (await source.status()).units[0]?.role;
}

async function waitForRole(source: SpawnedConnector, role: string, timeoutMs = 30_000): Promise<void> {
  await waitFor(async () => (await roleOf(source)) === role, {
    timeoutMs,
    describe: () => `role ${role}; log:\n${source.logTail()}`,
  });
}

async function insert(fixture: SourceFixture, from: number, to: number): Promise<void> {
  for (let id = from; id <= to; id++)
    await fixture.database.query("INSERT INTO counters VALUES ($1, 0)", [id]);
}

async function expectIds(fixture: SourceFixture, count: number): Promise<void> {
  const records = await fixture.read("counter");
  expectEveryPositionOnce(records);
  expect(records.map((record) => (record.key as { id: number }).id)).toEqual(
    Array.from({ length: count }, (_, i) => i + 1),
  );
}

describe("two sources on one slot", () => {
  test("the standby says so, holds no more connections than it needs, and takes over within 10 s of a kill -9", async () => {
    await using fixture = await createSourceFixture(COUNTERS);
    await using first = await fixture.spawn();
    await first.waitForReady();
    await using second = await fixture.spawn();
    await waitForRole(second, "standby");
    const connections = async () =>
      Number(
        (
          await fixture.database.query(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rejot-source%'",
          )
        )[0]?.n,
      );
    await insert(fixture, 1, 20);
    // Longer than it takes a standby that leaks one connection per attempt to use up max_wal_senders.
    await delay(2_500);
    expect(await connections()).toBeLessThanOrEqual(6);
    expect(await roleOf(second)).toBe("standby");
    expect((await second.status()).units[0]?.lastError).toBeNull();
    await insert(fixture, 21, 40);
    await first.kill("SIGKILL");
    const killedAt = Date.now();
    await waitForRole(second, "active", 10_000);
    expect(Date.now() - killedAt).toBeLessThan(10_000);
    expect(second.log.join("\n")).not.toContain("the pipeline ended");
    await insert(fixture, 41, 60);
    await fixture.published();
    await expectIds(fixture, 60);
  });

  test("a stopped active source is replaced after its silence, and publishes nothing more when it wakes", async () => {
    await using fixture = await createSourceFixture(COUNTERS);
    await using first = await fixture.spawn();
    await first.waitForReady();
    await using second = await fixture.spawn();
    await waitForRole(second, "standby");
    await insert(fixture, 1, 10);
    first.signal("SIGSTOP");
    await insert(fixture, 11, 30);
    await waitForRole(second, "active", 20_000);
    await insert(fixture, 31, 40);
    await fixture.published();
    first.signal("SIGCONT");
    await waitForRole(first, "standby", 20_000);
    await insert(fixture, 41, 50);
    await fixture.published();
    expect(await roleOf(second)).toBe("active");
    await expectIds(fixture, 50);
    expect(await second.kill("SIGTERM")).toBe(0);
    await waitForRole(first, "active", 10_000);
    await insert(fixture, 51, 60);
    await fixture.published();
    await expectIds(fixture, 60);
  });
});
