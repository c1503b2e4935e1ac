import { encodeKeyRecord, KIND, keyRecord, recordsOf } from "./key-records.ts";
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
    this.#append(identity, KIND.row, "");
  }

  /** The row is there; `key` is what people know it by. */
  present(identity: string, key: string): void {
    this.#append(identity, KIND.live, key);
  }

  /** The keys of the rows that are there and belong to no event. */
  *unaccounted(): Generator<string> {
    for (let bucket = 0; bucket < this.#file.buckets; bucket++) {
      const known = new Set<string>();
      for (const { kind, key } of recordsOf(this.#file, bucket))
        if (kind === KIND.row) known.add(key.toString("latin1"));
      for (const { kind, key, print } of recordsOf(this.#file, bucket))
        if (kind === KIND.live && !known.has(key.toString("latin1"))) yield print.toString();
    }
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  #append(identity: string, kind: typeof KIND.row | typeof KIND.live, shown: string): void {
    const key = Buffer.from(identity, "latin1");
    const record = keyRecord(kind, key, { print: Buffer.from(shown) });
    this.#file.append(this.#file.bucketOf(key), encodeKeyRecord(record));
  }
}
