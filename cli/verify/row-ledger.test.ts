import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { RowLedger } from "./row-ledger.ts";

test("rows that are there and belong to no event are given by their keys, whatever size was expected", () => {
  for (const expected of [0, 20_000]) {
    using ledger = new RowLedger(tmpdir(), expected);
    for (let i = 0; i < 50_000; i++) ledger.note(`16412(${i},1)`);
    for (let i = 0; i < 50_003; i++) ledger.present(`16412(${i},1)`, `{"id":${i}}`);
    expect(ledger.noted).toBe(50_000);
    expect([...ledger.unaccounted()].sort()).toEqual(['{"id":50000}', '{"id":50001}', '{"id":50002}']);
  }
});
