import { describe, expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import { readTopic } from "../support/kafka.ts";
import { startSink } from "../support/running-sink.ts";
import { sinkFixture } from "../support/sink-fixture.ts";
import { createSourceFixture, transformationsOf } from "../support/source.ts";

const TIMESTAMP = { type: "string", format: "date-time" };
const DECIMAL = { type: "string", format: "decimal", precision: 4, scale: 2 };
const SELECT = "SELECT id, v FROM things WHERE id = :id";

function sourceOf(type: string, field: object) {
  return createSourceFixture({
    sql: `CREATE TABLE things (id int PRIMARY KEY, v ${type})`,
    schemas: [
      {
        name: "thing",
        fields: { id: "integer", v: field },
        key: ["id"],
        transformations: transformationsOf("things", SELECT, "SELECT :id AS id"),
      },
    ],
  });
}

describe("a type that its field cannot carry keeps the source from starting, with column, type and field", () => {
  test.each<[string, object, string]>([
    ["timestamptz", { type: "integer" }, "the column is timestamp with time zone, the field long"],
    ["int4range", { type: "array", items: { type: "integer" } }, "the column is int4range, the field array"],
    ["inet", { enum: ["a", "b"] }, "the column is inet, the field enum"],
  ])("%s in %j", async (type, field, said) => {
    await using fixture = await sourceOf(type, field);
    const error = await fixture.start().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "OUTPUT_COLUMN_TYPE", retryable: false });
    expect((error as RejotError).message).toContain('"v" of thing');
    expect((error as RejotError).message).toContain(said);
  });
});

describe("a value that its field cannot carry stops the source before it, with object, field and value", () => {
  test.each<[string, object, string, string]>([
    ["timestamptz", TIMESTAMP, "2024-02-29 12:00:00+00", "infinity"],
    ["numeric", DECIMAL, "99.99", "100.00"],
    ["text[]", { type: "array", items: { type: "string" } }, "{a}", "[0:1]={a,b}"],
  ])("%s in %j: %s is published, %s is not", async (type, field, good, bad) => {
    await using fixture = await sourceOf(type, field);
    await using source = await fixture.start();
    await fixture.database.query("INSERT INTO things VALUES (1, $1)", [good]);
    await fixture.published();
    await fixture.database.query("INSERT INTO things VALUES (2, $1)", [bad]);
    const error = await source.connector.done.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RejotError);
    expect(error).toMatchObject({ code: "VALUE_NOT_REPRESENTABLE", context: { field: "v" } });
    for (const part of ["thing v1", "key id=2", 'field "v"', `'${bad}'`]) {
      expect((error as RejotError).message).toContain(part);
    }
    expect((await fixture.read("thing")).map(({ key }) => key)).toEqual([{ id: 1 }]);
  });
});

describe("a value that a parameter would change goes by the consumer schema's onError", () => {
  const fixtureOf = (onError: "stop" | "dlq") =>
    sinkFixture({
      schemas: [
        {
          name: "visit",
          properties: { id: { type: "integer" }, at: { type: "string", format: "date-time" } },
          required: ["id", "at"],
          key: ["id"],
          partitions: 1,
        },
      ],
      consumers: [
        {
          name: "days",
          schema: "visit",
          onError,
          sql: "INSERT INTO days VALUES (:id, :at)",
          deletes: "ignore",
        },
      ],
      sql: "CREATE TABLE days (id bigint PRIMARY KEY, day date)",
    });
  /** Midnight is a date, a second later is not. */
  const midnight = Date.UTC(2024, 1, 29) * 1000;
  const visits = [0, 1_000_000, 0].map((later, id) => ({ key: { id }, value: { id, at: midnight + later } }));

  test("stop names field and value, and what the destination would have left out", async () => {
    await using fixture = await fixtureOf("stop");
    await fixture.publish("visit", visits);
    await using sink = await startSink(fixture.manifestPath);
    const failure = (await sink.failure()) as RejotError;
    expect(failure.code).toBe("SINK_EVENT_FAILED");
    for (const part of ["offset 1", 'field "at"', "2024-02-29T00:00:01Z", "leave out its time of day"])
      expect(failure.message).toContain(part);
    expect(await fixture.database.query("SELECT id, day FROM days")).toEqual([
      { id: "0", day: "2024-02-29" },
    ]);
  });

  test("dlq puts it aside and goes on", async () => {
    await using fixture = await fixtureOf("dlq");
    await fixture.publish("visit", visits);
    await using sink = await startSink(fixture.manifestPath);
    const ids = async () =>
      (await fixture.database.query("SELECT id FROM days ORDER BY id")).map(({ id }) => id);
    await sink.eventually(async () => (await ids()).join() === "0,2", "both midnights");
    const letters = await readTopic(deadLetterTopic(fixture.topic("visit"), fixture.group));
    expect(letters.map(({ key }) => key)).toEqual([{ id: 1 }]);
  });
});
