import { describe, expect, test } from "vitest";
import { parseReadQuery } from "./query.ts";

const schema = { manifest: { slug: "@org/accounts" }, schema: { name: "account", version: { major: 1 } } };
const parse = (query: Record<string, unknown>) =>
  parseReadQuery(
    new URLSearchParams(
      Object.entries(query).map(([name, value]): [string, string] => [
        name,
        typeof value === "string" ? value : JSON.stringify(value),
      ]),
    ),
  );

describe("parseReadQuery", () => {
  test("reads ReJot's cursors, and offsets", () => {
    const request = parse({
      cursors: [{ schema, transactionId: "16/B374D848", offsets: { 0: "9007199254740993", 5: 7 } }],
      limit: "1000",
    });
    expect(request).toEqual({
      cursors: [
        {
          schema: { manifestSlug: "@org/accounts", name: "account", major: 1 },
          after: 0x16b374d848n,
          offsets: new Map([
            [0, 9007199254740993n],
            [5, 7n],
          ]),
        },
      ],
      limit: 1000,
    });
  });

  test("null or no transactionId is the beginning; no cursors are all schemas; limit is 100", () => {
    expect(parse({ cursors: [{ schema, transactionId: null }] }).cursors[0]?.after).toBeNull();
    expect(parse({ cursors: [{ schema }] }).cursors[0]?.after).toBeNull();
    expect(parse({})).toEqual({ cursors: [], limit: 100 });
  });

  test.each([
    [{ limit: "0" }, /limit is "0"/],
    [{ limit: "1001" }, /1001/],
    [{ limit: "10.5" }, /limit/],
    [{ limit: "ten" }, /limit/],
    [{ cursors: "[{" }, /not JSON/],
    [{ cursors: {} }, /cursors: /],
    [{ cursors: [{ transactionId: null }] }, /cursors\[0\]\.schema/],
    [{ cursors: [{ schema, transactionId: "17" }] }, /cursors\[0\]\.transactionId: not a transaction id/],
    [{ cursors: [{ schema, offsets: { a: "1" } }] }, /offsets/],
    [{ cursors: [{ schema, offsets: { 0: "-1" } }] }, /offsets/],
    [{ cursors: [{ schema }, { schema }] }, /two cursors/],
  ])("refuses %j", (query, message) => {
    expect(() => parse(query)).toThrow(message);
    expect(() => parse(query)).toThrow(expect.objectContaining({ code: "READ_REQUEST_INVALID" }));
  });
});
