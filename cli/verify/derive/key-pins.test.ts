import { expect, test } from "vitest";
import { parseTemplate } from "../../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../../shared/postgres/table-info.ts";
import { extraRule, keyPins } from "./key-pins.ts";

const PURCHASE = {
  columns: ["id", "buyer", "shop"].map((name) => ({ name, typeOid: 20, generated: false })),
} as unknown as TableInfo;

async function pins(sql: string, keyFields = ["id"]): Promise<object | undefined> {
  const found = keyPins(await parseTemplate(sql), PURCHASE, keyFields);
  return found === undefined ? undefined : Object.fromEntries(found);
}

test.each([
  [
    "SELECT b.id, count(*) AS n FROM buyer b LEFT JOIN purchase p ON p.buyer = b.id WHERE b.id = :buyer GROUP BY b.id",
    { buyer: "id" },
  ],
  ["SELECT buyer AS id, count(*) AS n FROM purchase WHERE buyer = $2 GROUP BY 1", { buyer: "id" }],
  ["SELECT :buyer::bigint AS id, count(*) AS n FROM purchase p WHERE p.buyer = :buyer", { buyer: "id" }],
  ["SELECT b.id::text AS id FROM buyer b WHERE :buyer = b.id", { buyer: "id" }],
])("%s can be run for a key", async (sql, expected) => {
  expect(await pins(sql)).toEqual(expected);
});

test("a key of several fields, of which the SQL is told one or both", async () => {
  const sql = "SELECT l.buyer, l.shop FROM purchase l WHERE l.buyer = :buyer";
  expect(await pins(sql, ["buyer", "shop"])).toEqual({ buyer: "buyer" });
  expect(await pins(`${sql} AND l.shop = :shop`, ["buyer", "shop"])).toEqual({
    buyer: "buyer",
    shop: "shop",
  });
});

test.each([
  [
    "the key shows another column",
    "SELECT b.id FROM buyer b JOIN purchase p ON p.buyer = b.id WHERE p.id = :id",
  ],
  ["whose column it is cannot be told", "SELECT id FROM buyer, purchase WHERE buyer.id = :buyer"],
  ["a placeholder stands elsewhere too", "SELECT b.id FROM buyer b WHERE b.id = :buyer AND b.n > :shop"],
  ["not an equality", "SELECT b.id FROM buyer b WHERE b.id >= :buyer"],
  ["one of several conditions is enough", "SELECT b.id FROM buyer b WHERE b.id = :buyer OR b.n = 1"],
  ["a union", "SELECT b.id FROM buyer b WHERE b.id = :buyer UNION SELECT 1"],
  ["no placeholder at all", "SELECT b.id FROM buyer b"],
])("cannot be run for a key: %s", async (_why, sql) => {
  expect(await pins(sql)).toBeUndefined();
});

test("an object without rows is too much for certain only where it cannot outlive them", () => {
  const facts = { isOneToOne: false, publishedElsewhere: true, hasKeyPlan: true };
  expect(extraRule(facts)).toBe("by key");
  expect(extraRule({ ...facts, hasKeyPlan: false })).toBe("unknown");
  expect(extraRule({ ...facts, isOneToOne: true })).toBe("sure");
  expect(extraRule({ ...facts, publishedElsewhere: false })).toBe("sure");
});
