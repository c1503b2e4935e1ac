import { expect, test } from "vitest";
import {
  consumerGroup,
  deadLetterTopic,
  progressTopic,
  publicSchemaTopic,
  subjects,
  transactionalId,
} from "./naming.ts";

test("names of topics, subjects, groups and transactional ids", () => {
  expect(publicSchemaTopic("", "accounts", "account", 1)).toBe("accounts.account.v1");
  expect(publicSchemaTopic("prod.", "@org/accounts", "account", 12)).toBe("prod.org.accounts.account.v12");
  expect(progressTopic("prod.", "@org/accounts", "db")).toBe("prod.org.accounts.db.progress");
  expect(transactionalId("prod.", "@org/accounts", "db")).toBe("prod.rejot.source.org.accounts.db");
  expect(consumerGroup("prod.", "shop", "db")).toBe("prod.rejot.sink.shop.db");
  expect(deadLetterTopic("accounts.account.v1", "g")).toBe("accounts.account.v1.dlq.g");
  expect(subjects("t")).toEqual({ key: "t-key", value: "t-value" });
});
