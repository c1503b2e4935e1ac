import { expect, test } from "vitest";
import { TEAMS, type Team } from "../../examples/shopjot/oracle.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { ShopJot } from "../support/shopjot.ts";
import { randomTransaction, runTransaction } from "../support/shopjot-workload.ts";
import { faultsOf, runVerify, verifyJson } from "../support/verify.ts";
import { waitFor } from "../support/wait-for.ts";

const TIMES = 2;

/** Random transactions of a team until it is stopped. */
function startWriter(shopJot: ShopJot, team: Team, random: Random) {
  const result = { committed: 0, rolledBack: 0, conflicts: 0 };
  let stopped = false;
  const writing = (async () => {
    const client = await shopJot.databases[team].connect();
    while (!stopped) await runTransaction(client, randomTransaction(random, team), result);
  })();
  return {
    result,
    stop: async () => {
      stopped = true;
      await writing;
    },
  };
}

test("three teams that write all the time, objects of one, two and three tables: all equal, however often it is looked", async () => {
  const random = seededRandom("verify ShopJot");
  await using shopJot = await ShopJot.create();
  await shopJot.start("source");
  await shopJot.start("sink");
  const writers = TEAMS.map((team) => startWriter(shopJot, team, random.fork()));
  await waitFor(() => writers.every(({ result }) => result.committed > 50), {
    describe: "every team to have written",
  });
  for (let i = 0; i < TIMES; i++) {
    const { exitCode, comparisons } = await verifyJson(shopJot.workspace, "--rounds", "10");
    expect(
      comparisons.map((report) => [report.publicSchema, report.consumerSchema, faultsOf(report)]),
    ).toEqual(comparisons.map(({ publicSchema, consumerSchema }) => [publicSchema, consumerSchema, {}]));
    expect(exitCode).toBe(0);
    expect(
      comparisons
        .filter(({ kind }) => kind === "source")
        .map(({ publicSchema }) => publicSchema)
        .sort(),
    ).toEqual(["account.v1", "order-line.v1", "order.v1", "product.v1"]);
  }
  await Promise.all(writers.map(({ stop }) => stop()));
  await shopJot.caughtUp();
  const { exitCode, stdout } = await runVerify(shopJot.workspace);
  expect([exitCode, stdout.trimEnd().split("\n").at(-1)]).toEqual([
    0,
    expect.stringMatching(/^EQUAL: \d+ comparisons of \d[\d,]* keys, all equal$/),
  ]);
});
