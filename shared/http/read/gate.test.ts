import { expect, test } from "vitest";
import { Gate } from "./gate.ts";

test("lets in so many, the others in order, and turns away when the line is long", async () => {
  const { signal } = new AbortController();
  const gate = new Gate(1, 2);
  const entered: string[] = [];
  const enter = (name: string, own = signal) =>
    gate.enter(own).then((leave) => {
      entered.push(name);
      return leave;
    });
  const leaveA = await enter("a");
  const impatient = new AbortController();
  const b = enter("b", impatient.signal);
  const c = enter("c");
  await expect(enter("d")).rejects.toMatchObject({ code: "READ_UNAVAILABLE" });
  const reason = new Error("gone");
  impatient.abort(reason);
  await expect(b).rejects.toBe(reason);
  expect(entered).toEqual(["a"]);
  leaveA();
  leaveA();
  const leaveC = await c;
  const e = enter("e");
  expect(entered).toEqual(["a", "c"]);
  leaveC();
  (await e)();
  expect(entered).toEqual(["a", "c", "e"]);
});
