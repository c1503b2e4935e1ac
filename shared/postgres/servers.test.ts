import { expect, test } from "vitest";
import type { PostgresConnection } from "../manifest/schema.ts";
import { serverName, serversOf } from "./servers.ts";

const connection = (host: string, port?: number | string): PostgresConnection => ({
  connectionType: "postgres",
  host,
  ...(port === undefined ? {} : { port }),
  user: "me",
  database: "shop",
});
const places = (host: string, port?: number | string) =>
  serversOf(connection(host, port)).map((server) => `${server.host} ${server.port}`);

test("hosts and ports are lists as in libpq", () => {
  expect(places("a")).toEqual(["a 5432"]);
  expect(places("a, b")).toEqual(["a 5432", "b 5432"]);
  expect(places("a,b", "6432")).toEqual(["a 6432", "b 6432"]);
  expect(places("::1,b,/run/postgresql", "1,2,3")).toEqual(["::1 1", "b 2", "/run/postgresql 3"]);
  expect(serverName(connection("a,b", "1,2"))).toBe("a:1,b:2/shop");
});

test("lists that do not match are refused", () => {
  expect(() => places("a,b,c", "1,2")).toThrow(
    expect.objectContaining({ code: "CONNECTION_STRING_INVALID" }),
  );
});
