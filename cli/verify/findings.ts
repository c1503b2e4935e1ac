import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { describeKey } from "./field-prints.ts";
import type { Place } from "./key-records.ts";
import type { Found, PairReport } from "./pair-report.ts";

/** Writes what is found into a report: counts all, names the first. */
export class Findings {
  readonly #report: PairReport;
  readonly #registry: Pick<SchemaRegistry, "schemaById">;
  readonly #show: number;

  constructor(report: PairReport, registry: Pick<SchemaRegistry, "schemaById">, show: number) {
    this.#report = report;
    this.#registry = registry;
    this.#show = show;
  }

  equal(count = 1): void {
    this.#report.keys += count;
    this.#report.equal += count;
  }

  async missing(key: Buffer): Promise<void> {
    await this.#found(this.#report.missing, key);
  }

  /** An object that is too much, unless that is not to be told; a key that cannot be decoded is none of ours. */
  async extra(key: Buffer, place: Place): Promise<void> {
    const { readable } = await describeKey(this.#registry, key);
    if (!readable) await this.undecodable(key, place, "its key cannot be decoded");
    else if (this.#report.extra !== null) await this.#found(this.#report.extra, key);
  }

  async unsettled(key: Buffer): Promise<void> {
    await this.#found(this.#report.unsettled, key);
  }

  async different(key: Buffer, fields: readonly string[]): Promise<void> {
    const { different } = this.#report;
    this.#report.keys++;
    different.count++;
    for (const field of fields) different.fields[field] = (different.fields[field] ?? 0) + 1;
    if (different.first.length < this.#show) different.first.push({ key: await this.#text(key), fields });
  }

  async undecodable(key: Buffer, place: Place, reason: string): Promise<void> {
    const { undecodable } = this.#report;
    this.#report.keys++;
    undecodable.count++;
    if (undecodable.first.length < this.#show)
      undecodable.first.push({ at: this.#at(place), key: await this.#text(key), reason });
  }

  /** A record that has no key at all. */
  keyless(place: Place): void {
    const { undecodable } = this.#report;
    this.#report.keys++;
    undecodable.count++;
    if (undecodable.first.length < this.#show)
      undecodable.first.push({ at: this.#at(place), key: "null", reason: "it has no key" });
  }

  async #found(found: Found, key: Buffer): Promise<void> {
    this.#report.keys++;
    found.count++;
    if (found.first.length < this.#show) found.first.push(await this.#text(key));
  }

  async #text(key: Buffer): Promise<string> {
    return (await describeKey(this.#registry, key)).text;
  }

  #at({ partition, offset }: Place): string {
    return `${this.#report.topic}[${partition}]@${offset}`;
  }
}
