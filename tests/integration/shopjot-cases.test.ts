import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FLOWS, type Team } from "../../examples/shopjot/oracle.ts";
import { comparePositions, type Position, parseChange } from "../../shared/kafka/position.ts";
import { parseLsn } from "../../shared/postgres/lsn.ts";
import { readTopic } from "../support/kafka.ts";
import { ShopJot } from "../support/shopjot.ts";

interface Case {
  readonly name: string;
  readonly team: Team;
  /** Statements of one transaction, whose events are not looked at. */
  readonly before: string;
  /** Statements of one transaction. */
  readonly change: string;
  /** Public schema and key, in the order of the events; a minus stands for a tombstone. */
  readonly events: readonly string[];
}

const account = (id: number, first = "Ada") =>
  `INSERT INTO accounts (id, first_name, last_name, password_hash) VALUES (${id}, '${first}', 'L', 'x');`;
const address = (account: number, id: string, primary = true) =>
  `INSERT INTO addresses (id, account_id, street, city, country, is_primary)
   VALUES ('${id}', ${account}, 'Street 1', 'Delft', 'NL', ${primary});`;
const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const order = (n: number, status = "placed") =>
  `INSERT INTO orders (id, account_id, status) VALUES ('${uuid(n)}', 1, '${status}');`;
const line = (id: number, order: number) =>
  `INSERT INTO order_lines (id, order_id, sku, quantity, unit_price) VALUES (${id}, '${uuid(order)}', 'S', 2, 1.25);`;
const product = (sku: string, listed = true, category = "NULL") =>
  `INSERT INTO products (sku, title, price, listed, category_id) VALUES ('${sku}', 'T', 9.99, ${listed}, ${category});`;

const CASES: readonly Case[] = [
  {
    name: "a new e-mail or address publishes its account anew",
    team: "accounts",
    before: account(1),
    change: `INSERT INTO emails VALUES (1, 'a@example.org', true); ${address(1, uuid(1))}`,
    events: ["account 1", "account 1"],
  },
  {
    name: "a deleted address publishes its account anew, no tombstone",
    team: "accounts",
    before: account(2) + address(2, uuid(2)),
    change: `DELETE FROM addresses WHERE id = '${uuid(2)}'`,
    events: ["account 2"],
  },
  {
    name: "an address that moves publishes its former account and its new one (replica identity full)",
    team: "accounts",
    before: account(3) + account(4) + address(3, uuid(3)),
    change: `UPDATE addresses SET account_id = 4 WHERE id = '${uuid(3)}'`,
    events: ["account 3", "account 4"],
  },
  {
    name: "an e-mail address that moves publishes both accounts (the account is in the primary key)",
    team: "accounts",
    before: `${account(5)}${account(6)} INSERT INTO emails VALUES (5, 'b@example.org', true);`,
    change: `UPDATE emails SET account_id = 6 WHERE account_id = 5`,
    events: ["account 5", "account 6"],
  },
  {
    name: "an address that changes and stays publishes its account once",
    team: "accounts",
    before: account(7) + address(7, uuid(7)),
    change: `UPDATE addresses SET city = 'Gouda' WHERE id = '${uuid(7)}'`,
    events: ["account 7"],
  },
  {
    name: "an account deleted with all its parts is one tombstone",
    team: "accounts",
    before: `${account(8)}${address(8, uuid(8))} INSERT INTO emails VALUES (8, 'c@example.org', true);`,
    change: `DELETE FROM accounts WHERE id = 8`,
    events: ["-account 8"],
  },
  {
    name: "a changed primary key is a tombstone, then an event; its parts follow",
    team: "accounts",
    before: account(9) + address(9, uuid(9)),
    change: `UPDATE accounts SET id = 10 WHERE id = 9`,
    events: ["-account 9", "account 10", "account 10"],
  },
  {
    name: "delete and insert of a key in one transaction keep their order",
    team: "accounts",
    before: account(11),
    change: `DELETE FROM accounts WHERE id = 11; ${account(11, "Again")}`,
    events: ["-account 11", "account 11"],
  },
  {
    name: "what a savepoint took back is not published",
    team: "accounts",
    before: account(12),
    change: `SAVEPOINT s; UPDATE accounts SET tier = 'plus' WHERE id = 12; DELETE FROM accounts WHERE id = 12;
             ROLLBACK TO s; UPDATE accounts SET tier = 'business' WHERE id = 12`,
    events: ["account 12"],
  },
  {
    name: "a line that is removed publishes its order with the new total, and its own tombstone",
    team: "orders",
    before: order(1) + line(1, 1) + line(2, 1),
    change: `DELETE FROM order_lines WHERE id = 1`,
    events: [`order ${uuid(1)}`, "-order-line 1"],
  },
  {
    name: "an order's change of state publishes its lines, several events of one change",
    team: "orders",
    before: order(2) + line(21, 2) + line(22, 2),
    change: `UPDATE orders SET status = 'paid' WHERE id = '${uuid(2)}'`,
    events: [`order ${uuid(2)}`, "order-line 21", "order-line 22"],
  },
  {
    name: "an order that becomes a draft leaves with all its lines",
    team: "orders",
    before: order(3) + line(31, 3) + line(32, 3),
    change: `UPDATE orders SET status = 'draft' WHERE id = '${uuid(3)}'`,
    events: [`-order ${uuid(3)}`, "-order-line 31", "-order-line 32"],
  },
  {
    name: "a draft that is placed enters with all its lines",
    team: "orders",
    before: order(4, "draft") + line(41, 4) + line(42, 4),
    change: `UPDATE orders SET status = 'placed' WHERE id = '${uuid(4)}'`,
    events: [`order ${uuid(4)}`, "order-line 41", "order-line 42"],
  },
  {
    name: "a line that moves publishes both orders (replica identity using index), and itself",
    team: "orders",
    before: order(5) + order(6) + line(51, 5),
    change: `UPDATE order_lines SET order_id = '${uuid(6)}' WHERE id = 51`,
    events: [`order ${uuid(5)}`, `order ${uuid(6)}`, "order-line 51"],
  },
  {
    name: "a line that moves into a draft leaves, and its former order is published",
    team: "orders",
    before: order(7) + order(8, "draft") + line(71, 7),
    change: `UPDATE order_lines SET order_id = '${uuid(8)}' WHERE id = 71`,
    events: [`order ${uuid(7)}`, "-order-line 71"],
  },
  {
    name: "an order deleted with its lines is a tombstone for each",
    team: "orders",
    before: order(9) + line(91, 9) + line(92, 9),
    change: `DELETE FROM orders WHERE id = '${uuid(9)}'`,
    events: [`-order ${uuid(9)}`, "-order-line 91", "-order-line 92"],
  },
  {
    name: "a product enters and leaves the public schema as it is listed",
    team: "shop",
    before: product("A", false),
    change: `UPDATE products SET listed = true WHERE sku = 'A'; UPDATE products SET listed = false WHERE sku = 'A'`,
    events: ["product A", "-product A"],
  },
  {
    name: "a category's new name publishes its listed products",
    team: "shop",
    before: `INSERT INTO categories VALUES (1, 'C'); ${product("B", true, "1")}${product("C", true, "1")}${product("D", false, "1")}`,
    change: `UPDATE categories SET name = 'D' WHERE id = 1`,
    events: ["product B", "product C"],
  },
  {
    name: "a deleted category publishes the products it had, without it",
    team: "shop",
    before: `INSERT INTO categories VALUES (2, 'C'); ${product("E", true, "2")}`,
    change: `DELETE FROM categories WHERE id = 2`,
    events: ["product E"],
  },
  {
    name: "a natural key that is corrected is a tombstone for the old, an event for the new",
    team: "shop",
    before: product("F"),
    change: `UPDATE products SET sku = 'G' WHERE sku = 'F'`,
    events: ["-product F", "product G"],
  },
];

interface SeenEvent {
  readonly position: Position;
  readonly text: string;
}

describe("ShopJot, case by case", () => {
  let shopJot: ShopJot;
  /** Between which places of the WAL each case's change was committed. */
  const places = new Map<Case, { from: bigint; to: bigint }>();
  const events = new Map<Team, SeenEvent[]>();

  beforeAll(async () => {
    shopJot = await ShopJot.create();
    await Promise.all([shopJot.start("source"), shopJot.start("sink")]);
    for (const each of CASES) {
      const database = shopJot.databases[each.team];
      await database.query(`BEGIN; ${each.before}; COMMIT`);
      const from = await position(each.team);
      await database.query(`BEGIN; ${each.change}; COMMIT`);
      places.set(each, { from, to: await position(each.team) });
    }
    await shopJot.caughtUp();
    for (const flow of FLOWS) {
      const seen = (await readTopic(shopJot.topic(flow))).map(({ key, value, change }) => ({
        position: parseChange(change).position,
        text: `${value === null ? "-" : ""}${flow.publicSchema} ${Object.values(key as object).join(",")}`,
      }));
      events.set(flow.from, [...(events.get(flow.from) ?? []), ...seen]);
    }
  });

  afterAll(async () => {
    await shopJot[Symbol.asyncDispose]();
  });

  async function position(team: Team): Promise<bigint> {
    const [row] = await shopJot.databases[team].query("SELECT pg_current_wal_insert_lsn() AS lsn");
    return parseLsn(row?.lsn ?? "");
  }

  test.each(CASES)("$name", (each) => {
    const { from = 0n, to = 0n } = places.get(each) ?? {};
    const found = (events.get(each.team) ?? [])
      .filter(({ position }) => position.commitLsn >= from && position.commitLsn < to)
      .sort((a, b) => comparePositions(a.position, b.position))
      .map(({ text }) => text);
    // The order between topics says nothing: each has its own.
    expect(byTopic(found)).toEqual(byTopic(each.events));
  });

  test.each(FLOWS)("the copy of $publicSchema equals its SQL at the source", async (flow) => {
    expect(await shopJot.differences(flow)).toEqual([]);
  });
});

/** Groups by public schema, keeping the order within each. */
function byTopic(events: readonly string[]): Record<string, string[]> {
  return Object.groupBy(events, (text) => text.replace(/^-/, "").split(" ")[0] ?? "") as Record<
    string,
    string[]
  >;
}
