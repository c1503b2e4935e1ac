import { expect, test } from "vitest";
import { planRuns } from "./plan.ts";

test("participants take turns at being first", () => {
  const runs = planRuns("small", ["rejot-kafka", "debezium"], ["exactly-once"], 3);
  expect(runs.map(({ run }) => run)).toEqual([
    "small_eo_1_rejot_kafka",
    "small_eo_1_debezium",
    "small_eo_2_debezium",
    "small_eo_2_rejot_kafka",
    "small_eo_3_rejot_kafka",
    "small_eo_3_debezium",
  ]);
});
