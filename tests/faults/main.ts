import { mkdir, readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { startStack } from "../../compose/dev-stack/stack.ts";
import type { StackAddresses } from "../support/global-stack.ts";
import { allFaults } from "./catalogue/all.ts";
import { HUGE } from "./catalogue/transactions.ts";
import { type Fault, type FaultResult, runFault } from "./harness/fault.ts";
import { counted, countsIn, results } from "./harness/results.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    /** Part of a fault's id. */
    only: { type: "string" },
    seed: { type: "string" },
    runs: { type: "string" },
    /** Makes the fault of a huge transaction too, with so many rows. */
    huge: { type: "string", default: "0" },
    out: { type: "string", default: "fault-results" },
    /** Results of earlier runs that the page does not count yet. */
    merge: { type: "string", multiple: true, default: [] },
    /** Adds these runs to those that docs/faults.md counts. */
    page: { type: "boolean", default: false },
  },
});

const TABLE_BEGIN = "<!-- runs -->";
const TABLE_END = "<!-- end of runs -->";

const HUGE_ROWS = 2_000_000;
const hugeRows = Number(values.huge);
const FAULTS = allFaults(hugeRows === 0 ? HUGE_ROWS : hugeRows);
const chosen = FAULTS.filter(
  ({ id }) =>
    (id !== HUGE || hugeRows > 0) && (values.only === undefined || new RegExp(values.only).test(id)),
);
const deadline = Date.now() + Number(values.minutes) * 60_000;
const maxRuns = values.runs === undefined ? Number.POSITIVE_INFINITY : Number(values.runs);
let made: FaultResult[] = [];
for (const file of values.merge) made.push(...(JSON.parse(await readFile(file, "utf8")) as FaultResult[]));
process.exitCode = maxRuns === 0 ? 0 : await withServers(runAll);
if (values.page) await writePage();
process.exit();

async function withServers(work: (servers: StackAddresses) => Promise<number>): Promise<number> {
  const running = process.env.REJOT_TEST_STACK;
  if (running !== undefined) return work(JSON.parse(await readFile(running, "utf8")) as StackAddresses);
  await using stack = await startStack({
    env: process.env,
    onProgress: (line) => console.error(line),
    postgresSettings: { fsync: "off" },
  });
  const { host, port, user, password } = stack.postgres;
  return work({
    postgres: { host, port, user, password },
    brokers: stack.kafka.brokers,
    registryUrl: stack.registry.url,
  });
}

/** All of them, one after the other, and again with new seeds while there is time. */
async function runAll(servers: StackAddresses): Promise<number> {
  for (let round = 0; round < maxRuns; round++) {
    for (const fault of chosen) {
      if (Date.now() > deadline) return summary();
      await runOne(fault, servers);
    }
  }
  return summary();
}

async function runOne(fault: Fault, servers: StackAddresses): Promise<void> {
  const reason = await fault.missing?.();
  if (reason !== undefined) {
    console.log(`left out ${fault.id}: ${reason}`);
    return;
  }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(values.seed);
  const result = await runFault(fault, seed, servers);
  made = [...made, result];
  const { passed, seconds, recoveredMs, transactions, complaints } = result;
  console.log(
    `${passed ? "ok    " : "FAILED"} ${fault.id} seed ${seed}: ${transactions} transactions, equal after ${recoveredMs} ms, ${seconds.toFixed(1)} s`,
  );
  for (const complaint of complaints) console.log(`    ${complaint}`);
  await mkdir(values.out, { recursive: true });
  await writeFile(`${values.out}/results.json`, `${JSON.stringify(made, null, 1)}\n`);
  await writeFile(`${values.out}/results.md`, results(FAULTS, counted(made)));
}

async function writePage(): Promise<void> {
  const page = new URL("../../docs/faults.md", import.meta.url);
  const text = await readFile(page, "utf8");
  const [before, rest = ""] = text.split(TABLE_BEGIN);
  const [table = "", after = ""] = rest.split(TABLE_END);
  const counts = counted(made, countsIn(table));
  await writeFile(page, `${before}${TABLE_BEGIN}\n\n${results(FAULTS, counts)}\n${TABLE_END}${after}`);
}

function summary(): number {
  const failed = made.filter(({ passed }) => !passed).length;
  console.log(`${made.length - failed} passed, ${failed} failed`);
  return failed === 0 && made.length > 0 ? 0 : 1;
}
