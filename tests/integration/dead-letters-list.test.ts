import { expect, test } from "vitest";
import {
  deadLetters,
  item,
  itemFixture,
  lettersOf,
  UPSERT,
  waitUntilPassed,
} from "../support/dead-letters.ts";
import { startSink } from "../support/running-sink.ts";

test("list and show: how many wait, for whom, what they are and why", async () => {
  await using fixture = await itemFixture([UPSERT, { ...UPSERT, name: "copies" }]);
  expect(await deadLetters(fixture, "list")).toEqual({
    exitCode: 0,
    stdout: "fixture → destination: no dead letters wait\n",
    stderr: "",
  });
  await fixture.publish("item", [item(1, 1), item(2, -2), item(3, 3), item(4, -4)]);
  {
    await using sink = await startSink(fixture.manifestPath);
    await waitUntilPassed(fixture, sink);
  }
  const topic = fixture.topic("item");
  {
    await using sink = await startSink(fixture.manifestPath);
    const labels = `manifest="fixture",data_store="destination",topic="${topic}",consumer_schema="fixture/copies"`;
    await sink.eventually(
      async () => (await sink.sink.metrics.render()).includes(`rejot_sink_dead_letters_waiting{${labels}} 2`),
      "the metric of waiting letters",
    );
  }
  const text = await deadLetters(fixture, "list");
  expect(text).toMatchObject({ exitCode: 0, stderr: "" });
  expect(text.stdout).toContain("fixture → destination: 4 dead letters\n");
  expect(text.stdout).toContain(`  2 of ${topic} for fixture/copies\n`);
  expect(text.stdout).toMatch(
    new RegExp(`${topic}/0/1 +0/[0-9A-F]+:1 +{"id":2} +fixture/items +waiting .*SQLSTATE 23514: .*positive`),
  );

  const one = await deadLetters(fixture, "list", "--schema", "copies", "--limit", "1", "--json");
  expect(JSON.parse(one.stdout)).toEqual([
    {
      manifest: "fixture",
      dataStore: "destination",
      waiting: 2,
      consumerSchemas: [{ name: "fixture/copies", topic, waiting: 2 }],
      letters: [
        {
          id: `${topic}/0/1`,
          topic,
          partition: 0,
          offset: 1,
          position: expect.stringMatching(/^0\/[0-9A-F]+:1$/),
          consumerSchema: "fixture/copies",
          state: "waiting",
          setAsideAt: expect.stringMatching(/^\d{4}-.*Z$/),
          settledAt: null,
          replayError: null,
          event: {
            operation: "upsert",
            committedAt: expect.stringMatching(/^\d{4}-.*Z$/),
            key: { id: 2 },
            value: { id: 2, n: -2 },
          },
          error: {
            code: "SINK_EVENT_SET_ASIDE",
            message: expect.stringContaining("positive"),
            sqlState: "23514",
          },
        },
      ],
    },
  ]);
  expect((await lettersOf(fixture)).map(({ offset }) => offset)).toEqual([1, 1, 3, 3]);
  const shortened = await deadLetters(fixture, "list", "--limit", "1");
  expect(shortened.stdout).toContain("--limit shows more than 1");
  const recent = await deadLetters(fixture, "list", "--since", "1h");
  expect(recent.stdout.match(/SQLSTATE/g)).toHaveLength(4);
  const later = new Date(Date.now() + 60_000).toISOString();
  expect((await deadLetters(fixture, "list", "--since", later)).stdout).not.toContain("SQLSTATE");

  const shown = await deadLetters(fixture, "show", `${topic}/0/3`, "--schema", "fixture/items");
  expect(shown.exitCode).toBe(0);
  expect(shown.stdout).toMatch(/consumer schema +fixture\/items\n.*operation +upsert\n/s);
  expect(shown.stdout).toMatch(/error +SQLSTATE 23514: .*\n {2}{\n {4}"id": 4,\n {4}"n": -4\n {2}}\n/s);
  expect(JSON.parse((await deadLetters(fixture, "show", `${topic}/0/3`, "--json")).stdout)).toHaveLength(2);
});

test("wrong ids, schemas and times, and servers that are away, are named", async () => {
  await using fixture = await itemFixture([{ ...UPSERT, onError: "stop" }]);
  const refused = async (...args: readonly string[]) => {
    const [action = "", ...rest] = args;
    const { exitCode, stderr } = await deadLetters(fixture, action, ...rest);
    return [exitCode, stderr.split("\n")[0]];
  };
  expect((await deadLetters(fixture, "list")).stdout).toContain('No consumer schema here has onError: "dlq"');
  expect(await refused("show", "nonsense")).toEqual([2, expect.stringMatching(/^USAGE: .*"nonsense" is no/)]);
  expect(await refused("show", `${fixture.topic("item")}/0/9`)).toEqual([
    2,
    expect.stringMatching(/^DEAD_LETTER_NOT_FOUND: /),
  ]);
  expect(await refused("list", "--schema", "other")).toEqual([
    2,
    expect.stringMatching(/no consumer schema "other"; there are: fixture\/items/),
  ]);
  expect(await refused("list", "--since", "soon")).toEqual([2, expect.stringMatching(/^USAGE: .*"soon"/)]);
  expect(await refused("list", "--limit", "0")).toEqual([2, expect.stringMatching(/^USAGE: /)]);
});
