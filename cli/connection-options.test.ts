import { expect, test } from "vitest";
import { buildConnection } from "./connection-options.ts";

test("a registry's address of another form is not repeated, for it may hold a password", () => {
  const flags = { type: "kafka", brokers: "a:1", schemaRegistry: "svc:s3cret@registry:8081" } as const;
  expect(() => buildConnection("events", flags)).toThrow(/^(?!.*s3cret).*--schema-registry/s);
});
