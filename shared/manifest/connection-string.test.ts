import { expect, test } from "vitest";
import { parseConnectionString } from "./connection-string.ts";

const parts = (text: string) => parseConnectionString(text).connection;

test("all parts, with escapes decoded", () => {
  expect(parts("postgres://me:p%40ss:w@db.example:6432/my%20db")).toEqual({
    connectionType: "postgres",
    host: "db.example",
    port: 6432,
    user: "me",
    password: "p@ss:w",
    database: "my db",
  });
});

test("no password is legal, and the database defaults to the user", () => {
  expect(parts("postgresql://me@localhost")).toEqual({
    connectionType: "postgres",
    host: "localhost",
    user: "me",
    database: "me",
  });
});

test("references to secrets stay as they are, in every part", () => {
  expect(parts("postgres://${U}:${file:/run/s%c}@${H}:${PGPORT}/${D}")).toMatchObject({
    user: "${U}",
    password: "${file:/run/s%c}",
    host: "${H}",
    port: "${PGPORT}",
    database: "${D}",
  });
});

test("IPv6, socket folders, sslmode, and parameters nobody reads", () => {
  expect(parts("postgres://me@[::1]:5432/x").host).toBe("::1");
  expect(parts("postgres:///x?host=/var/run/postgresql&user=me")).toMatchObject({
    host: "/var/run/postgresql",
    user: "me",
    database: "x",
  });
  expect(parts("postgres://me@h/x?sslmode=require").ssl).toEqual({ rejectUnauthorized: false });
  expect(parts("postgres://me@h/x?sslmode=verify-full").ssl).toBe(true);
  expect(parseConnectionString("postgres://me@h/x?schema=public").ignoredParameters).toEqual(["schema"]);
});

test("several servers, of which the one that takes writes is used", () => {
  expect(parts("postgres://me@a,b/x")).toMatchObject({ host: "a,b" });
  expect(parts("postgres://me@a,b/x").port).toBeUndefined();
  expect(parts("postgres://me@a:6432,b:6432/x")).toMatchObject({ host: "a,b", port: 6432 });
  expect(parts("postgres://me@a,[::1]:6432,${H}:${P}/x")).toMatchObject({
    host: "a,::1,${H}",
    port: "5432,6432,${P}",
  });
  const ignored = (attrs: string) =>
    parseConnectionString(`postgres://me@a,b/x?target_session_attrs=${attrs}`).ignoredParameters;
  expect([ignored("read-write"), ignored("standby")]).toEqual([[], ["target_session_attrs"]]);
});

test.each([
  ["mysql://me@h/x", /does not begin with postgres/],
  ["postgres://h/x", /names no user/],
  ["postgres://me@a,b:port/x", /malformed/],
  ["postgres://me:%zz@h/x", /two hex digits/],
  ["postgres://me:secret@h:port/x", /malformed/],
])("%s is refused without repeating it", (text, message) => {
  const failure = (() => {
    try {
      return parseConnectionString(text);
    } catch (error) {
      return error;
    }
  })();
  expect(failure).toMatchObject({
    code: "CONNECTION_STRING_INVALID",
    message: expect.stringMatching(message),
  });
  expect(String(failure)).not.toContain("secret");
});
