import { expect, test } from "vitest";
import { ClockWatch } from "./clock-watch.ts";

test("tells by how much the clock was set back, once, and nothing of time that passes or is skipped", () => {
  let wallMs = 1_800_000_000_000;
  let elapsedMs = 50;
  const watch = new ClockWatch({ wallMs: () => wallMs, elapsedMs: () => elapsedMs });
  const pass = (ms: number, setMs = 0) => {
    elapsedMs += ms;
    wallMs += ms + setMs;
    return watch.setBackMs();
  };
  expect(pass(1_000)).toBe(0);
  expect(pass(3_000, -7_200_000)).toBe(7_200_000);
  expect(pass(3_000)).toBe(0);
  expect(pass(3_000, 7_200_000)).toBe(0);
  expect(pass(10, -5)).toBe(5);
});
