import { inspect } from "node:util";
import { expect, test } from "vitest";
import { describeError, type RejotError } from "../errors/error.ts";
import { createRegistryRequest } from "./registry-http.ts";

const request = (url: string) => createRegistryRequest({ url, timeoutMs: 1_000 });

const failureOf = async (url: string): Promise<RejotError> => {
  try {
    await request(url)("GET", "/subjects");
  } catch (error) {
    return error as RejotError;
  }
  throw new Error("it worked");
};

test.each([
  "http://svc:s3cr/et@registry:8081",
  "http://svc:80/s3cret@registry:8081",
  "http://svc:80?s3cret@registry:8081",
  "http://svc:80#s3cret@registry:8081",
  "http://svc:s3cret%@registry:8081",
  "svc:s3cret@registry:8081",
  "s3cret@",
])("an address that is none is not repeated, for it may hold a password: %s", async (url) => {
  const error = await failureOf(url);
  expect(error.code).toBe("REGISTRY_REFUSED");
  expect(error.message).toContain("schemaRegistry.url");
  expect(`${describeError(error)} ${inspect(error)} ${JSON.stringify(error)}`).not.toMatch(/s3c|svc/);
});

test("a registry that does not answer is named without the credentials in its address", async () => {
  const error = await failureOf("http://svc:s3cr%2Fet@127.0.0.1:1/base/");
  expect(error.code).toBe("REGISTRY_UNREACHABLE");
  expect(error.message).toContain("http://127.0.0.1:1/base/");
  expect(inspect(error)).not.toMatch(/s3c|svc/);
});
