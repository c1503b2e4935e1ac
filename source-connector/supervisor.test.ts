import { describe, expect, test } from "vitest";
import { RejotError } from "../shared/errors/error.ts";
import type { ResolvedSource } from "../shared/manifest/workspace.ts";
import { createLogger } from "../shared/observability/logger.ts";
import { createMetrics } from "../shared/observability/metrics.ts";
import { type Session, type SessionControl, Supervisor } from "./supervisor.ts";
import { UnitState } from "./unit-state.ts";

const SOURCE = { manifestSlug: "m", dataStoreSlug: "db", config: {} } as unknown as ResolvedSource;
const lost = () => new RejotError("POSTGRES_UNREACHABLE", { detail: "gone" });

function supervise(
  session: (control: SessionControl, attempt: number, supervisor: Supervisor) => Promise<void>,
) {
  const state = new UnitState(SOURCE, createMetrics("test"));
  let attempts = 0;
  const run: Session = (control) => session(control, ++attempts, supervisor);
  const supervisor: Supervisor = new Supervisor(
    run,
    state,
    createLogger("test").child({}, { level: "silent" }),
  );
  return { supervisor, state, attempts: () => attempts };
}

const drained = ({ drain }: SessionControl) =>
  new Promise<void>((resolve) => drain.addEventListener("abort", () => resolve(), { once: true }));

describe("Supervisor", () => {
  test("starts when the session has settled, ends when it was told to and the session is through", async () => {
    const { supervisor, attempts } = supervise(async (control) => {
      supervisor.settled();
      await drained(control);
    });
    await supervisor.start();
    await supervisor.stop();
    await supervisor.done;
    expect(attempts()).toBe(1);
  });

  test("tries again what can mend, and shows it meanwhile", async () => {
    const { supervisor, state, attempts } = supervise(async (control, attempt) => {
      if (attempt < 3) throw lost();
      state.role = "active";
      await drained(control);
    });
    await supervisor.start();
    expect(state.status).toMatchObject({
      role: "retrying",
      lastError: { code: "POSTGRES_UNREACHABLE", hint: lost().hint },
    });
    await expect.poll(() => state.role).toBe("active");
    expect(attempts()).toBe(3);
    await supervisor.stop();
  });

  test("ends with what cannot mend: at once at the start, as `done` later", async () => {
    const early = supervise(async () => {
      throw new RejotError("SLOT_LOST");
    });
    await expect(early.supervisor.start()).rejects.toMatchObject({ code: "SLOT_LOST" });
    expect(early.state.role).toBe("failed");

    const late = supervise(async (_control, attempt, supervisor) => {
      supervisor.settled();
      if (attempt === 1) throw lost();
      throw new RejotError("SLOT_LOST");
    });
    await late.supervisor.start();
    await expect(late.supervisor.done).rejects.toMatchObject({ code: "SLOT_LOST" });
    expect(late.attempts()).toBe(2);
  });

  test("an error that is not ours is a defect and not tried again", async () => {
    const { supervisor, state, attempts } = supervise(async () => {
      throw new TypeError("x is not a function");
    });
    await expect(supervisor.start()).rejects.toThrow("x is not a function");
    expect([attempts(), state.status.lastError?.code]).toEqual([1, "INTERNAL_ERROR"]);
  });

  test("a stop ends the waiting between two attempts", async () => {
    const { supervisor, attempts } = supervise(async () => {
      throw lost();
    });
    await supervisor.start();
    await supervisor.stop();
    const before = attempts();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(attempts()).toBe(before);
    await supervisor.done;
  });

  test("a failure while draining is not tried again and no error of the process", async () => {
    const { supervisor, attempts } = supervise(async (control, _attempt, self) => {
      self.settled();
      await drained(control);
      throw lost();
    });
    await supervisor.start();
    await supervisor.stop();
    await supervisor.done;
    expect(attempts()).toBe(1);
  });

  test("an abort reaches the session", async () => {
    const { supervisor } = supervise(async ({ signal }, _attempt, self) => {
      self.settled();
      await new Promise<void>((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason)),
      );
    });
    await supervisor.start();
    supervisor.abort();
    await supervisor.done;
  });
});
