import { describe, expect, test } from "vitest";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { Batch, Change, Relation, TextEvent } from "../ports.ts";
import { EventOrder, type Outcome, type Transformed } from "./event-order.ts";
import type { TransformationPlan } from "./plan.ts";

const RELATION: Relation = { oid: 1, schema: "public", name: "t", replicaIdentity: "d", columns: [] };
const COLUMNS = {
  list: [
    { name: "id", typeOid: 20 },
    { name: "v", typeOid: 25 },
  ],
};
const KEY_ONLY = { list: [{ name: "id", typeOid: 20 }] };

function outcome(rows: (string | null)[][], emit: "upsert" | "tombstone" = "upsert"): Outcome {
  return { plan: { emit } as TransformationPlan, columns: rows[0]?.length === 1 ? KEY_ONLY : COLUMNS, rows };
}

function made(op: Change["op"], parts: Partial<Transformed>): Transformed {
  const change: Change = { op, relation: RELATION, after: null, before: null };
  return { schema: 0, change, before: undefined, after: undefined, left: undefined, ...parts };
}

function piece(lsn: bigint, endLsn: bigint | null = lsn + 1n): Batch[number] {
  return {
    xid: 1,
    commitLsn: lsn as Lsn,
    commitTimeMs: 5,
    changes: [],
    endLsn: endLsn as Lsn | null,
    bytes: 0,
  };
}

/** `op:index key=value`, a tombstone without value. */
const shown = (events: readonly TextEvent[]) =>
  events.map(
    ({ op, position, keyRow, row }) =>
      `${op}:${position.index} ${keyRow[0]}${row === null ? "" : `=${row[1]}`}`,
  );

const order = () => new EventOrder([["id"], ["id", "v"]]);
const one = (...work: Transformed[]) => shown(order().events([piece(10n)], [work]));

describe("EventOrder", () => {
  test("events stand in the order of the changes, numbered from 0", () => {
    expect(
      one(
        made("c", { after: outcome([["1", "a"]]) }),
        made("u", { after: outcome([["1", "b"]]) }),
        made("d", { before: outcome([["1"]], "tombstone") }),
        made("c", { after: outcome([["1", "c"]]) }),
      ),
    ).toEqual(["c:0 1=a", "u:1 1=b", "d:2 1", "c:3 1=c"]);
  });

  test("a changed key is a tombstone for the old one, then an event for the new", () => {
    const moved = made("u", { before: outcome([["1"]], "tombstone"), after: outcome([["2", "a"]]) });
    expect(one(moved)).toEqual(["d:0 1", "u:1 2=a"]);
  });

  test("a key that stays gets no tombstone", () => {
    const same = made("u", { before: outcome([["1"]], "tombstone"), after: outcome([["1", "b"]]) });
    expect(one(same)).toEqual(["u:0 1=b"]);
  });

  test("of several objects only those that are gone get one", () => {
    const fewer = made("u", {
      before: outcome([["1"], ["2"], ["3"]], "tombstone"),
      after: outcome([
        ["2", "b"],
        ["4", "d"],
      ]),
    });
    expect(one(fewer)).toEqual(["d:0 1", "d:1 3", "u:2 2=b", "u:3 4=d"]);
  });

  test("keys are compared in all their fields", () => {
    const moved = made("u", {
      schema: 1,
      before: outcome([["1", "a"]], "tombstone"),
      after: outcome([["1", "b"]]),
    });
    expect(one(moved)).toEqual(["d:0 1", "u:1 1=b"]);
  });

  test("fan-out: one event a row", () => {
    expect(
      one(
        made("u", {
          after: outcome([
            ["1", "a"],
            ["2", "b"],
          ]),
        }),
      ),
    ).toEqual(["u:0 1=a", "u:1 2=b"]);
  });

  test("no row: the tombstone that the delete transformation gives for the row as it is", () => {
    expect(one(made("u", { after: outcome([]), left: outcome([["1"]], "tombstone") }))).toEqual(["d:0 1"]);
    expect(one(made("c", { after: outcome([]), left: outcome([["1"]], "tombstone") }))).toEqual(["d:0 1"]);
    expect(one(made("u", { after: outcome([]) }))).toEqual([]);
  });

  test("a delete that says upsert publishes the object anew, also where a row moved between two", () => {
    expect(one(made("d", { before: outcome([["7", "rest"]]) }))).toEqual(["u:0 7=rest"]);
    const moved = made("u", { before: outcome([["7", "less"]]), after: outcome([["8", "more"]]) });
    expect(one(moved)).toEqual(["u:0 7=less", "u:1 8=more"]);
  });

  test("positions go on over the pieces of one transaction and begin anew with the next", () => {
    const events = order();
    const row = () => [made("c", { after: outcome([["1", "a"]]) })];
    const first = events.events([piece(10n), piece(20n, null)], [row(), row()]);
    const second = events.events([piece(20n, null)], [row()]);
    const third = events.events([piece(20n), piece(30n)], [[...row(), ...row()], row()]);
    expect(
      [...first, ...second, ...third].map(({ position }) => `${position.commitLsn}:${position.index}`),
    ).toEqual(["10:0", "20:0", "20:1", "20:2", "20:3", "30:0"]);
  });

  test("positions count over all public schemas", () => {
    const both = [
      made("c", { schema: 0, after: outcome([["1", "a"]]) }),
      made("c", { schema: 1, after: outcome([["1", "a"]]) }),
    ];
    expect(
      order()
        .events([piece(10n)], [both])
        .map(({ schema, position }) => [schema, position.index]),
    ).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });
});
