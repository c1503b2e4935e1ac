import { describe, expect, test } from "vitest";
import { parseLsn } from "../../../shared/postgres/lsn.ts";
import { FLOWS, type Flow } from "../oracle.ts";
import type { Write } from "./business/write.ts";
import { Story, topicOf } from "./story.ts";

const orders = FLOWS.find((flow) => flow.publicSchema === "order") as Flow;
const write = (change: string): Write => ({
  team: "orders",
  title: "Something happens",
  change,
  statements: [],
});

function told(): { lines: string[]; story: Story } {
  const lines: string[] = [];
  return { lines, story: new Story({ line: (text = "") => lines.push(text), paint: (_, text) => text }) };
}

const event = (commitLsn: string, tombstone = false) => ({
  topic: topicOf(orders),
  partition: 1,
  offset: 7,
  committedMs: 1_000,
  op: "u" as const,
  position: { commitLsn: parseLsn(commitLsn), index: 0 },
  key: "3f2a1b4c-0000-4000-8000-000000000001",
  tombstone,
});

describe("the story of the demo", () => {
  test("an event belongs to the write that was committed at its place, and says its way and latency", () => {
    const { lines, story } = told();
    story.write(write("INSERT orders"), parseLsn("0/100"));
    story.write(write("UPDATE orders"), parseLsn("0/F00"));
    story.write(write("DELETE orders"), parseLsn("1/0"));
    story.arrival(event("0/F80"), 1_014);
    story.arrival(event("1/0", true), 1_020);
    expect(lines.slice(3)).toEqual([
      "    14 ms  UPDATE orders → order 3f2a1b4c… → shopjot.orders.order.v1[1]@7 → shop.order_summaries",
      "    20 ms  DELETE orders → order 3f2a1b4c… (tombstone) → shopjot.orders.order.v1[1]@7 → shop.order_summaries",
    ]);
    expect(story.summary()).toBe("2 events, latency from commit to commit: median 20 ms, 99 % within 20 ms");
    expect(story.lastWrite("orders")).toBe(parseLsn("1/0"));
  });

  test("the verdict is good when nothing differs and nothing is missing", () => {
    const { lines, story } = told();
    expect(story.verdict([{ flow: orders, rows: 1, differences: [] }], 0)).toBe(true);
    expect(lines.join("\n")).toMatch(/orders: order +→ shop\.order_summaries +1 row {2}equal/);
  });

  test("the verdict shows what differs", () => {
    const { lines, story } = told();
    const differences = [{ key: "1", expected: '["1","a"]', actual: null }];
    expect(story.verdict([{ flow: orders, rows: 1, differences }], 0)).toBe(false);
    expect(lines).toContain("      key 1");
    expect(lines).toContain('        expected ["1","a"]');
    expect(lines).toContain("        found    no row");
  });

  test("equal tables are no good verdict while events are missing", () => {
    expect(told().story.verdict([{ flow: orders, rows: 1, differences: [] }], 2)).toBe(false);
  });
});
