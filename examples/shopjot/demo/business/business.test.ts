import { describe, expect, test } from "vitest";
import { Business } from "./business.ts";
import type { Chance, Write } from "./write.ts";

/** The same choices at every run: a linear congruential generator. */
function chance(): Chance {
  let state = 1;
  let uuids = 0;
  return {
    random: () => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state / 2_147_483_648;
    },
    uuid: () => `00000000-0000-4000-8000-${String(++uuids).padStart(12, "0")}`,
  };
}

const kinds = (writes: readonly Write[]) => new Set(writes.map(({ team, change }) => `${team} ${change}`));

describe("the business of ShopJot", () => {
  const everyKind = [
    "accounts DELETE accounts",
    "accounts DELETE addresses",
    "accounts INSERT accounts, emails",
    "accounts INSERT addresses",
    "accounts UPDATE accounts",
    "accounts UPDATE addresses",
    "accounts UPDATE emails (key)",
    "orders DELETE order_lines",
    "orders DELETE orders",
    "orders INSERT order_lines",
    "orders INSERT orders, order_lines",
    "orders UPDATE orders",
    "shop DELETE products",
    "shop INSERT products",
    "shop UPDATE categories",
    "shop UPDATE products",
  ];

  test("the first round shows every kind of change", () => {
    const found = kinds(new Business(chance()).firstRound());
    expect(everyKind.filter((kind) => !found.has(kind))).toEqual([]);
    expect([...found]).toContain("shop UPDATE products (key)");
  });

  test("it goes on with every kind of change, without ever running out of them", () => {
    const business = new Business(chance());
    business.firstRound();
    const found = kinds(Array.from({ length: 2_000 }, () => business.next()));
    expect(everyKind.filter((kind) => !found.has(kind))).toEqual([]);
  });

  test("values are parameters of their statements, all of them used", () => {
    const business = new Business(chance());
    for (const write of [...business.firstRound(), ...Array.from({ length: 200 }, () => business.next())]) {
      for (const { sql, values } of write.statements) {
        const used = new Set(sql.match(/\$\d+/g));
        expect([sql, used.size]).toEqual([sql, values.length]);
      }
    }
  });
});
