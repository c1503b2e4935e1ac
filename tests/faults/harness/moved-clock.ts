import { readFileSync } from "node:fs";

/**
 * Loaded into a connector before anything else (`--import`): its clock is wrong by as many milliseconds as the file says
 * that REJOT_TEST_CLOCK names. Timers and `performance.now()` go on as they do when a machine's clock is set.
 */
const file = process.env.REJOT_TEST_CLOCK ?? "";
const LOOK_MS = 50;
let movedMs = 0;

function look(): void {
  try {
    movedMs = Number(readFileSync(file, "utf8"));
  } catch {
    // Being written.
  }
}

look();
setInterval(look, LOOK_MS).unref();
const now = (): number => Real.now() + movedMs;
const Real = Date;
globalThis.Date = new Proxy(Real, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new Real(now()).toString(),
  get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
});
