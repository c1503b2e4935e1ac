import { publicSchemaTopic } from "../../../shared/kafka/naming.ts";
import type { Lsn } from "../../../shared/postgres/lsn.ts";
import { FLOWS, type Flow, type Team } from "../oracle.ts";
import { latencySummary } from "./arrivals.ts";
import type { Write } from "./business/write.ts";
import type { TopicEvent } from "./kafka-events.ts";
import type { Comparison } from "./postgres-teams.ts";
import type { Terminal } from "./terminal.ts";

/** Writes per team that late events may still belong to. */
const WRITES_KEPT = 1_000;

/** The topic that a public schema's events are in. */
export function topicOf(flow: Flow): string {
  return publicSchemaTopic("", `@shopjot/${flow.from}`, flow.publicSchema, 1);
}

/** Tells on the terminal what happens: every write, every event with its way and its latency, the verdict. */
export class Story {
  readonly #terminal: Terminal;
  readonly #writes = new Map<Team, { readonly lsn: Lsn; readonly write: Write }[]>();
  readonly #latenciesMs: number[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** A write is about to be committed at or above this place in the write-ahead log. */
  write(write: Write, lsn: Lsn): void {
    const writes = this.#writes.get(write.team) ?? [];
    writes.push({ lsn, write });
    if (writes.length > WRITES_KEPT) writes.shift();
    this.#writes.set(write.team, writes);
    const { paint, line } = this.#terminal;
    line(`${paint("bold", write.team.padEnd(9))} ${write.title} ${paint("gray", `(${write.change})`)}`);
  }

  /** Where a team's last write was committed, at the least; undefined before the first. */
  lastWrite(team: Team): Lsn | undefined {
    return this.#writes.get(team)?.at(-1)?.lsn;
  }

  /** An event is in its destination. */
  arrival(event: TopicEvent, arrivedMs: number): void {
    const flow = FLOWS.find((each) => topicOf(each) === event.topic);
    if (flow === undefined) return;
    const latencyMs = Math.max(0, arrivedMs - event.committedMs);
    this.#latenciesMs.push(latencyMs);
    const { paint, line } = this.#terminal;
    const change = this.#changeOf(flow.from, event.position.commitLsn) ?? "a change";
    const object = `${flow.publicSchema} ${shorten(event.key)}${event.tombstone ? " (tombstone)" : ""}`;
    const way = [
      paint("gray", change),
      paint(event.tombstone ? "red" : "cyan", object),
      paint("gray", `${event.topic}[${event.partition}]@${event.offset}`),
      `${flow.to}.${flow.table}`,
    ];
    line(`${paint("green", `${latencyMs} ms`.padStart(9))}  ${way.join(paint("gray", " → "))}`);
  }

  /** One line about the events so far. */
  summary(): string {
    const latency = latencySummary(this.#latenciesMs);
    const count = `${this.#latenciesMs.length} events`;
    return latency === undefined
      ? count
      : `${count}, latency from commit to commit: median ${latency.medianMs} ms, 99 % within ${latency.p99Ms} ms`;
  }

  /** Says table by table whether the destination is as it should be. Returns whether all are. */
  verdict(comparisons: readonly Comparison[], missing: number): boolean {
    const { paint, line } = this.#terminal;
    line();
    for (const { flow, rows, differences } of comparisons) {
      const way = `${flow.from}: ${flow.publicSchema}`.padEnd(20);
      const table = `${flow.to}.${flow.table}`.padEnd(26);
      const count = `${rows} row${rows === 1 ? "" : "s"}`.padStart(8);
      const result =
        differences.length === 0 ? paint("green", "equal") : paint("red", `${differences.length} differ`);
      line(`  ${way} → ${table} ${count}  ${result}`);
      for (const { key, expected, actual } of differences.slice(0, 3)) {
        line(paint("red", `      key ${key}`));
        line(`        expected ${expected ?? "no row"}`);
        line(`        found    ${actual ?? "no row"}`);
      }
    }
    const equal = missing === 0 && comparisons.every(({ differences }) => differences.length === 0);
    line();
    line(`  ${this.summary()}`);
    if (missing > 0) line(paint("red", `  ${missing} events have not arrived.`));
    line(
      equal
        ? paint(
            ["green", "bold"],
            "  Every destination table equals what the public schema's SQL returns at the source.",
          )
        : paint(
            ["red", "bold"],
            "  The destinations are not what the public schemas' SQL returns at the source.",
          ),
    );
    return equal;
  }

  #changeOf(team: Team, commitLsn: Lsn): string | undefined {
    return this.#writes.get(team)?.findLast(({ lsn }) => lsn <= commitLsn)?.write.change;
  }
}

/** The beginning of a uuid is enough to tell one from the other. */
function shorten(key: string): string {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(key) ? `${key.slice(0, 8)}…` : key;
}
