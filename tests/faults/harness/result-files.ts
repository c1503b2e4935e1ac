import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Fault, FaultResult } from "./fault.ts";
import { counted, results } from "./results.ts";

/** What this invocation has made, in files of its own: nothing of an earlier one is overwritten but the table. */
export class ResultFiles {
  readonly made: FaultResult[] = [];
  readonly file: string;
  readonly #directory: string;
  readonly #faults: readonly Fault[];
  readonly #name = new Date().toISOString().replaceAll(":", ".");

  constructor(directory: string, faults: readonly Fault[]) {
    this.#directory = directory;
    this.#faults = faults;
    this.file = join(directory, `${this.#name}.json`);
  }

  /** Tells of a run and writes it down; a failed one with the logs of its connectors. */
  async add(result: FaultResult, logs: readonly string[]): Promise<void> {
    const { id, seed, passed, seconds, recoveredMs, transactions, complaints } = result;
    this.made.push(result);
    console.log(
      `${passed ? "ok    " : "FAILED"} ${id} seed ${seed}: ${transactions} transactions, equal after ${recoveredMs} ms, ${seconds.toFixed(1)} s`,
    );
    for (const complaint of complaints) console.log(`    ${complaint}`);
    await mkdir(this.#directory, { recursive: true });
    await writeFile(this.file, `${JSON.stringify(this.made, null, 1)}\n`);
    await writeFile(join(this.#directory, "results.md"), results(this.#faults, counted(this.made)));
    if (passed) return;
    const log = join(this.#directory, `${this.#name}-${id}-${seed}.log`);
    await writeFile(log, [...complaints, ...logs, ""].join("\n"));
    console.log(`    whole logs: ${log}`);
  }
}
