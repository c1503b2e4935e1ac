import pg from "pg";
import { expect, test } from "vitest";
import { ERRORS } from "../../shared/errors/table.ts";
import { answerError, unfitReason } from "./postgres-answer.ts";

function answer(state: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError("no", 2, "error"), { code: state });
}

test.each([
  "22P02", // an enum does not have it
  "23514", // a domain's check
  "P0001", // a function raises
  "P0002",
  "38000",
  "2202E",
  "0A000",
])("%s lies in the value", (state) => {
  expect(unfitReason(answer(state))).toBe("no");
});

test.each([
  ["08006", "VERIFY_INTERRUPTED"],
  ["40001", "VERIFY_INTERRUPTED"],
  ["53300", "VERIFY_INTERRUPTED"],
  ["57P01", "VERIFY_INTERRUPTED"],
  ["58030", "VERIFY_INTERRUPTED"],
  ["55P03", "VERIFY_TIMEOUT"],
  ["57014", "VERIFY_TIMEOUT"],
  ["42P01", "VERIFY_REFUSED"],
  ["25P02", "VERIFY_REFUSED"],
  ["42501", "POSTGRES_REFUSED"],
  ["28P01", "POSTGRES_REFUSED"],
] as const)("%s lies elsewhere: %s", (state, code) => {
  expect(unfitReason(answer(state))).toBeUndefined();
  expect(answerError(answer(state), "copy")).toMatchObject({ code, message: expect.stringContaining("no") });
});

test("only a server that gives no answer is not reached; what may pass by itself exits with 3", () => {
  expect(answerError(new Error("Connection terminated"), "copy").code).toBe("POSTGRES_UNREACHABLE");
  expect(answerError(new Error("Query read timeout"), "copy").code).toBe("VERIFY_TIMEOUT");
  for (const code of [
    "VERIFY_INTERRUPTED",
    "VERIFY_TIMEOUT",
    "VERIFY_SINK_BEHIND",
    "VERIFY_SNAPSHOT_LATE",
  ] as const)
    expect(ERRORS[code]).toMatchObject({ retryable: true, exitCode: 3 });
});
