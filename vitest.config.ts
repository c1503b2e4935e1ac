import { defineConfig } from "vitest/config";

/** Two cores carry the servers, the connectors under test and the tests themselves. */
const MAX_WORKERS = 2;

/** Read the sources only, so they need no servers. */
const RULES = [
  "tests/faults/harness/oracle.test.ts",
  "tests/faults/harness/plan.test.ts",
  "tests/faults/harness/result-files.test.ts",
  "tests/faults/harness/results.test.ts",
  "tests/import-rules.test.ts",
  "tests/schema-changes-page.test.ts",
  "tests/settings-page.test.ts",
];

export default defineConfig({
  test: {
    maxWorkers: MAX_WORKERS,
    teardownTimeout: 60_000,
    // kafkajs computes a negative delay whenever its queue is empty; Node warns about each process's first.
    execArgv: ["--disable-warning=TimeoutNegativeWarning"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: [
            "{shared,source-connector,sink-connector,cli,compose,examples,bench}/**/*.test.ts",
            ...RULES,
          ],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "servers",
          include: ["tests/**/*.test.ts"],
          exclude: RULES,
          globalSetup: ["tests/support/global-stack.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
