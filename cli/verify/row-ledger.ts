import { encodeKeyRecord, KIND, keyRecord, readKeyRecords } from "./key-records.ts";
import { SpillFile } from "./spill-file.ts";

/** Which rows of a destination are accounted for; kept on disk. */
export class RowLedger implements Disposable {
  readonly #file: SpillFile;
  /** Of rows accounted for; one that was noted twice counts twice. */
  noted = 0;

  constructor(directory: string, expectedRows: number) {
    this.#file = new SpillFile(directory, expectedRows * 2);
  }

  /** The row belongs to an event. */
  note(identity: string): void {
    this.noted++;
    this.#append(identity, KIND.row);
  }

  /** The row is there. */
  present(identity: string): void {
    this.#append(identity, KIND.live);
  }

  /** How many rows are there and belong to no event, and the first of them. */
  unaccounted(show: number): { count: number; first: string[] } {
    const found = { count: 0, first: [] as string[] };
    for (let bucket = 0; bucket < this.#file.buckets; bucket++) {
      const records = [...readKeyRecords(this.#file.read(bucket))];
      const known = new Set(
        records.filter(({ kind }) => kind === KIND.row).map(({ key }) => key.toString("latin1")),
      );
      for (const { kind, key } of records) {
        const identity = key.toString("latin1");
        if (kind !== KIND.live || known.has(identity)) continue;
        found.count++;
        if (found.first.length < show) found.first.push(identity);
      }
    }
    return found;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  #append(identity: string, kind: typeof KIND.row | typeof KIND.live): void {
    const key = Buffer.from(identity, "latin1");
    this.#file.append(this.#file.bucketOf(key), encodeKeyRecord(keyRecord(kind, key)));
  }
}
