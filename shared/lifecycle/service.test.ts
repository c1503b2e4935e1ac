import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import { RejotError } from "../errors/error.ts";
import { setLogLevel } from "../observability/logger.ts";
import { runUntilSignal, type Service } from "./service.ts";

setLogLevel("silent");

interface Fake extends Service {
  end(error?: unknown): void;
}

function setUp() {
  const log: string[] = [];
  const printed: string[] = [];
  const events = new EventEmitter();
  const fake = (name: string, behaviour: Partial<Pick<Service, "start" | "stop">> = {}): Fake => {
    const done = Promise.withResolvers<void>();
    return {
      name,
      done: done.promise,
      end: (error) => (error === undefined ? done.resolve() : done.reject(error)),
      start: async (signal) => {
        log.push(`start ${name}`);
        await behaviour.start?.(signal);
      },
      stop: async () => {
        log.push(`stop ${name}`);
        await behaviour.stop?.();
      },
    };
  };
  const run = (services: Service[], deadlineMs = 60_000) =>
    runUntilSignal(services, { deadlineMs, events, print: (text) => printed.push(text) });
  return { log, printed, events, fake, run };
}

const startedAll = (log: string[], count: number) =>
  expect.poll(() => log.filter((line) => line.startsWith("start")).length).toBe(count);

describe("runUntilSignal", () => {
  test("starts in order; a signal stops in reverse order and exits 0", async () => {
    const { log, events, fake, run } = setUp();
    const code = run([fake("a"), fake("b")]);
    await startedAll(log, 2);
    events.emit("SIGTERM");
    expect(await code).toBe(0);
    expect(log).toEqual(["start a", "start b", "stop b", "stop a"]);
    expect(events.eventNames()).toEqual([]);
  });

  test("a service that fails stops the others, is told, and gives the exit code of its error", async () => {
    const { log, printed, fake, run } = setUp();
    const a = fake("a");
    const code = run([a, fake("b")]);
    await startedAll(log, 2);
    a.end(new RejotError("POSTGRES_UNREACHABLE", { detail: "db:5432" }));
    expect(await code).toBe(3);
    expect(log.slice(2)).toEqual(["stop b", "stop a"]);
    expect(printed.join()).toMatch(/^POSTGRES_UNREACHABLE: .*db:5432\n.*hint:/s);
  });

  test("a service that ends by itself ends the process well", async () => {
    const { log, fake, run } = setUp();
    const a = fake("a");
    const code = run([a, fake("b")]);
    await startedAll(log, 2);
    a.end();
    expect(await code).toBe(0);
  });

  test("a start that fails stops what was started", async () => {
    const { log, printed, fake, run } = setUp();
    const failing = fake("b", {
      start: async () => {
        throw new RejotError("MANIFEST_INVALID");
      },
    });
    expect(await run([fake("a"), failing, fake("c")])).toBe(1);
    expect(log).toEqual(["start a", "start b", "stop b", "stop a"]);
    expect(printed).toHaveLength(1);
  });

  test("a signal breaks off a start and drains what was started, without an error", async () => {
    const { log, printed, events, fake, run } = setUp();
    const slow = fake("b", {
      start: (signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });
    const code = run([fake("a"), slow, fake("c")]);
    await startedAll(log, 2);
    events.emit("SIGINT");
    expect(await code).toBe(0);
    expect(log).toEqual(["start a", "start b", "stop b", "stop a"]);
    expect(printed).toEqual([]);
  });

  test("the second signal forces: the services are told to give up and nobody waits for them", async () => {
    const { log, events, fake, run } = setUp();
    const aborted: string[] = [];
    const hanging = fake("a", {
      start: async (signal) => signal.addEventListener("abort", () => aborted.push("a")),
      stop: () => new Promise(() => {}),
    });
    const code = run([hanging]);
    await startedAll(log, 1);
    events.emit("SIGINT");
    await expect.poll(() => log).toContain("stop a");
    expect(aborted).toEqual([]);
    events.emit("SIGINT");
    expect(await code).toBe(130);
    expect(aborted).toEqual(["a"]);
  });

  test("the deadline ends a stop that hangs", async () => {
    const { log, printed, events, fake, run } = setUp();
    const code = run([fake("a", { stop: () => new Promise(() => {}) })], 20);
    await startedAll(log, 1);
    events.emit("SIGTERM");
    expect(await code).toBe(1);
    expect(printed.join()).toMatch(/^STOP_DEADLINE/);
  });

  test("an error while stopping is told and does not keep the others from stopping", async () => {
    const { log, printed, events, fake, run } = setUp();
    const failing = fake("b", {
      stop: async () => {
        throw new RejotError("POSTGRES_REFUSED");
      },
    });
    const code = run([fake("a"), failing]);
    await startedAll(log, 2);
    events.emit("SIGTERM");
    expect(await code).toBe(1);
    expect(log.slice(2)).toEqual(["stop b", "stop a"]);
    expect(printed.join()).toMatch(/^POSTGRES_REFUSED/);
  });

  test.each(["uncaughtException", "unhandledRejection"])(
    "%s is told as a coded error, exit 1",
    async (event) => {
      const { log, printed, events, fake, run } = setUp();
      const code = run([fake("a")]);
      await startedAll(log, 1);
      events.emit(event, new TypeError("x is not a function"));
      expect(await code).toBe(1);
      expect(printed.join()).toMatch(/^INTERNAL_ERROR: x is not a function/);
    },
  );
});
