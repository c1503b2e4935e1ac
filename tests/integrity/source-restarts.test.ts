import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../../compose/dev-stack/stack.ts";
import type { StackAddresses } from "../support/global-stack.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type RunningSource,
  type SourceFixture,
} from "../support/source.ts";
import { TICKS } from "../support/ticks.ts";
import { waitFor } from "../support/wait-for.ts";

let stack: Stack;
let addresses: StackAddresses;
beforeAll(async () => {
  stack = await startStack({ env: process.env });
  const { host, port, user, password } = stack.postgres;
  addresses = {
    postgres: { host, port, user, password },
    brokers: stack.kafka.brokers,
    registryUrl: stack.registry.url,
  };
});
afterAll(async () => {
  await stack.stop();
});

/** Writes one row after the other, over whatever happens to the server; a commit of unknown outcome is looked up. */
function startTicking(fixture: SourceFixture): { stop(): Promise<number> } {
  let stopped = false;
  const running = (async () => {
    let id = 1;
    while (!stopped) {
      try {
        await fixture.database.query("INSERT INTO ticks VALUES ($1, 1) ON CONFLICT DO NOTHING", [id]);
        id++;
        await delay(5);
      } catch {
        await delay(50);
      }
    }
    return id - 1;
  })();
  return {
    async stop() {
      stopped = true;
      return running;
    },
  };
}

async function expectAllTicks(fixture: SourceFixture, count: number): Promise<void> {
  const records = await fixture.read("tick");
  expectEveryPositionOnce(records);
  expect(records.map(({ key }) => (key as { id: number }).id)).toEqual(
    Array.from({ length: count }, (_, i) => i + 1),
  );
}

async function overRestart(restart: (source: RunningSource) => Promise<unknown>): Promise<void> {
  await using fixture = await createSourceFixture({ ...TICKS, stack: addresses });
  await using source = await fixture.start();
  const ticking = startTicking(fixture);
  await waitFor(async () => (await fixture.read("tick")).length > 50, {
    describe: "events before the restart",
  });
  await restart(source);
  await waitFor(() => source.status.role === "active" && source.status.lastError === null, {
    timeoutMs: 60_000,
    describe: () => `the source to be active again: ${JSON.stringify(source.status)}`,
  });
  const count = await ticking.stop();
  await fixture.published(60_000);
  await expectAllTicks(fixture, count);
}

describe("the source recovers by itself in mid-stream, and nothing is lost or published twice", () => {
  test("when Postgres is restarted", async () => {
    await overRestart(async (source) => {
      await stack.postgres.restart();
      await waitFor(() => source.status.lastError?.code ?? source.status.role === "active", {
        describe: "the end of the session",
      });
    });
  });

  test("when Postgres is killed", async () => {
    await overRestart(async () => {
      await stack.postgres.kill();
      // It refuses as long as one of the killed server's processes has not quite ended.
      const start = async () => {
        await stack.postgres.start();
        return true;
      };
      await waitFor(start, { describe: "Postgres to start again" });
    });
  });

  test("when the broker is restarted", async () => {
    await overRestart(() => stack.kafka.restart());
  });

  test("when the broker is gone for longer than a publisher tries", async () => {
    await overRestart(async (source) => {
      await stack.kafka.stop();
      await waitFor(() => source.status.role === "retrying", {
        timeoutMs: 90_000,
        describe: "the source to be retrying",
      });
      expect(source.status.lastError).toMatchObject({ code: "KAFKA_UNREACHABLE" });
      await stack.kafka.restart();
    });
  });

  test("when the registry is restarted, which a running source does not ask; a starting one waits for it", async () => {
    await using fixture = await createSourceFixture({ ...TICKS, stack: addresses });
    const insert = (id: number) => fixture.database.query("INSERT INTO ticks VALUES ($1, 1)", [id]);
    {
      await using source = await fixture.start();
      await insert(1);
      await stack.registry.stop();
      await insert(2);
      await fixture.published();
      expect(source.status).toMatchObject({ role: "active", lastError: null });
    }
    await insert(3);
    await using waiting = await fixture.start();
    expect(waiting.status).toMatchObject({ role: "retrying", lastError: { code: "REGISTRY_UNREACHABLE" } });
    await stack.registry.restart();
    await waitFor(() => waiting.status.role === "active", { describe: "the source to be active" });
    await fixture.published();
    await expectAllTicks(fixture, 3);
  });
});
