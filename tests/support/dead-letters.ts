import type { Manifest } from "../../shared/manifest/schema.ts";
import { plainKafka, visibleEnds } from "./kafka.ts";
import { type CliResult, runCliHere } from "./run-cli.ts";
import type { RunningSink } from "./running-sink.ts";
import {
  type FixtureConsumer,
  type FixtureEvent,
  type FixtureSchema,
  type SinkFixture,
  sinkFixture,
} from "./sink-fixture.ts";

/** Objects with a number that the destination wants above 0, until `repair`. */
export const ITEMS_SQL = `CREATE TABLE item (id bigint PRIMARY KEY, n int NOT NULL CONSTRAINT positive CHECK (n > 0))`;

/** A consumer schema of `item` that keeps the latest state. */
export const UPSERT: FixtureConsumer = {
  name: "items",
  schema: "item",
  onError: "dlq",
  sql: "INSERT INTO item VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET n = :n",
  deleteSql: "DELETE FROM item WHERE id = :id",
};

/** Objects with keys `id` and a number `n`. */
export const itemSchema = (name = "item", partitions = 3): FixtureSchema => ({
  name,
  properties: { id: { type: "integer" }, n: { type: "integer" } },
  required: ["id", "n"],
  key: ["id"],
  partitions,
});

/** One topic `item` with keys `id` and a number `n`. */
export function itemFixture(
  consumers: readonly FixtureConsumer[] = [UPSERT],
  sql = ITEMS_SQL,
  partitions = 1,
  adapt: (manifest: Manifest) => void = () => {},
): Promise<SinkFixture> {
  return sinkFixture({
    adapt,
    sql,
    consumers,
    schemas: [itemSchema("item", partitions)],
  });
}

/** An event of `item`; without `n` a tombstone. */
export const item = (id: number, n?: number): FixtureEvent => ({
  key: { id },
  value: n === undefined ? null : { id, n },
});

/** Runs `dead-letters <action> <manifest> <arguments>`. */
export function deadLetters(
  fixture: Pick<SinkFixture, "manifestPath">,
  action: string,
  ...args: readonly string[]
): Promise<CliResult> {
  return runCliHere(["dead-letters", action, fixture.manifestPath, ...args]);
}

/** A letter as `--json` has it. */
export interface LetterJson {
  readonly id: string;
  readonly offset: number;
  readonly state: string;
  readonly event: { readonly key: { readonly id: number } } | null;
}

/** The letters of the only destination: all, or those that wait. */
export async function lettersOf(fixture: SinkFixture, ...flags: readonly string[]): Promise<LetterJson[]> {
  const { stdout } = await deadLetters(fixture, "list", "--json", "--limit", "10000", ...flags);
  return (JSON.parse(stdout) as [{ letters: LetterJson[] }])[0].letters;
}

/** Waits until the sink has passed all events: a last one, which is always taken, has been applied. */
export async function waitUntilPassed(fixture: SinkFixture, sink: RunningSink): Promise<void> {
  const ends = await visibleEnds(plainKafka(), fixture.topic("item"));
  await sink.eventually(async () => {
    const rows = await fixture.database.query(
      `SELECT partition, next_offset FROM rejot.progress WHERE topic = '${fixture.topic("item")}'`,
    );
    const next = new Map(rows.map((row) => [Number(row.partition), Number(row.next_offset)]));
    // The marker of a transaction may come after the last event's progress.
    return [...ends].every(([partition, end]) => (next.get(partition) ?? 0) + 1 >= end);
  }, "all events to be passed");
}
