import { describe, expect, test } from "vitest";
import { RejotError } from "../errors/error.ts";
import { type SessionControl, Supervisor } from "./supervisor.ts";

const lost = () => new RejotError("POSTGRES_UNREACHABLE", { detail: "gone" });

function supervise(
  session: (control: SessionControl, attempt: number) => Promise<void>,
  patienceMs = 60_000,
) {
  const told: unknown[] = [];
  let attempts = 0;
  const listener = {
    onRetry: (error: unknown) => told.push(["retry", error]),
    onFailed: (error: unknown) => told.push(["failed", error]),
  };
  const supervisor = new Supervisor((control) => session(control, ++attempts), listener, patienceMs);
  return { supervisor, told, attempts: () => attempts };
}

const drained = ({ drain }: SessionControl) =>
  new Promise<void>((resolve) => drain.addEventListener("abort", () => resolve(), { once: true }));

describe("Supervisor", () => {
  test("ends when it was told to and the session is through", async () => {
    const { supervisor, attempts, told } = supervise(drained);
    const done = supervisor.run();
    await supervisor.stop();
    await done;
    expect([attempts(), told]).toEqual([1, []]);
  });

  test("tries again what can mend, and tells of it", async () => {
    const third = Promise.withResolvers<void>();
    const { supervisor, told, attempts } = supervise(async (control, attempt) => {
      if (attempt < 3) throw lost();
      third.resolve();
      await drained(control);
    });
    void supervisor.run();
    await third.promise;
    expect(attempts()).toBe(3);
    expect(told).toEqual([
      ["retry", lost()],
      ["retry", lost()],
    ]);
    await supervisor.stop();
  });

  test("ends with what cannot mend, also after what could", async () => {
    const { supervisor, told, attempts } = supervise(async (_control, attempt) => {
      throw attempt === 1 ? lost() : new RejotError("SLOT_LOST");
    });
    await expect(supervisor.run()).rejects.toMatchObject({ code: "SLOT_LOST" });
    expect(attempts()).toBe(2);
    expect(told.at(-1)).toEqual(["failed", new RejotError("SLOT_LOST")]);
  });

  test("a refusal ends what has never worked, and is waited out by what has", async () => {
    const refused = new RejotError("POSTGRES_REFUSED", { detail: "password authentication failed" });
    const never = supervise(async () => {
      throw refused;
    });
    await expect(never.supervisor.run()).rejects.toBe(refused);
    expect(never.attempts()).toBe(1);

    const third = Promise.withResolvers<void>();
    const once = supervise(async (control, attempt) => {
      if (attempt === 2) throw refused;
      control.worked();
      if (attempt === 1) throw lost();
      third.resolve();
      await drained(control);
    });
    void once.supervisor.run();
    await third.promise;
    expect(once.told).toEqual([
      ["retry", lost()],
      ["retry", refused],
    ]);
    await once.supervisor.stop();
  });

  test("a refusal that lasts ends it all the same: a new process reads new secrets", async () => {
    const refused = new RejotError("POSTGRES_REFUSED", { detail: "password authentication failed" });
    const { supervisor, told } = supervise(async (control, attempt) => {
      if (attempt === 1) control.worked();
      throw attempt === 1 ? lost() : refused;
    }, 0);
    await expect(supervisor.run()).rejects.toBe(refused);
    expect(told).toEqual([
      ["retry", lost()],
      ["failed", refused],
    ]);
  });

  test("an error that is not ours is a defect and not tried again", async () => {
    const { supervisor, attempts } = supervise(async () => {
      throw new TypeError("x is not a function");
    });
    await expect(supervisor.run()).rejects.toThrow("x is not a function");
    expect(attempts()).toBe(1);
  });

  test("a stop ends the waiting between two attempts", async () => {
    const { supervisor, attempts } = supervise(async () => {
      throw lost();
    });
    const done = supervisor.run();
    await supervisor.stop();
    await done;
    expect(attempts()).toBe(1);
  });

  test("trouble while draining is not tried again and no error of the process", async () => {
    const { supervisor, attempts, told } = supervise(async (control) => {
      await drained(control);
      throw lost();
    });
    const done = supervisor.run();
    await supervisor.stop();
    await done;
    expect([attempts(), told]).toEqual([1, []]);
  });

  test("what cannot mend is an error also while draining", async () => {
    const { supervisor } = supervise(async (control) => {
      await drained(control);
      throw new RejotError("SLOT_LOST");
    });
    const done = supervisor.run();
    done.catch(() => {});
    await supervisor.stop();
    await expect(done).rejects.toMatchObject({ code: "SLOT_LOST" });
  });

  test("an abort reaches the session and is no error", async () => {
    const { supervisor } = supervise(
      ({ abort }) =>
        new Promise<void>((_resolve, reject) => abort.addEventListener("abort", () => reject(abort.reason))),
    );
    const done = supervisor.run();
    supervisor.abort();
    await done;
  });
});
