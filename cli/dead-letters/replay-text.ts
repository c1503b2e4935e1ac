import type { NotedLetter } from "../../sink-connector/dead-letter/postgres-letter-book.ts";
import type { ReplayOutcome } from "../../sink-connector/letter-replay.ts";
import { table } from "../report.ts";
import { formatLetterId } from "./letter-id.ts";

/** A letter and what became of it. */
export interface Replayed {
  readonly letter: NotedLetter;
  readonly outcome: ReplayOutcome;
}

/** What needs somebody first. */
const KINDS = ["failed", "held-back", "unpassed", "superseded", "settled", "applied"] as const;

/** More are in `--json`. */
const SHOWN = 100;

/** Whether letters wait on although they were to be applied. */
export function leftWaiting(replayed: readonly Replayed[]): boolean {
  return replayed.some(({ outcome }) => outcome.kind === "failed" || outcome.kind === "held-back");
}

/** Counts by outcome and every letter, for `--json`. */
export function replayedJson(replayed: readonly Replayed[]): object {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, countOf(replayed, kind)]));
  return {
    ...counts,
    letters: replayed.map(({ letter, outcome: { kind, ...rest } }) => ({
      id: formatLetterId(letter),
      consumerSchema: letter.consumerName,
      outcome: kind,
      ...("error" in rest ? { error: { code: rest.error.code, message: rest.error.message } } : rest),
    })),
  };
}

/** The same for people. */
export function replayedText(name: string, replayed: readonly Replayed[], dryRun: boolean): string {
  if (replayed.length === 0) return `${name}: no dead letters wait`;
  const counts = KINDS.toReversed().flatMap((kind) => {
    const count = countOf(replayed, kind);
    return count === 0 ? [] : [`${count} ${WORDS[kind]}`];
  });
  const ordered = KINDS.flatMap((kind) => replayed.filter(({ outcome }) => outcome.kind === kind));
  const rows = ordered
    .slice(0, SHOWN)
    .map(({ letter, outcome }) => [
      WORDS[outcome.kind],
      formatLetterId(letter),
      letter.consumerName,
      explanation(outcome),
    ]);
  const lines = [
    `${name}: ${dryRun ? "dry run, nothing is changed: " : ""}${counts.join(", ")}`,
    table(rows),
  ];
  if (ordered.length > SHOWN) lines.push(`  … and ${ordered.length - SHOWN} more, which --json has`);
  if (countOf(replayed, "superseded") > 0) lines.push(`  ${SUPERSEDED}`);
  return lines.join("\n");
}

const WORDS: Readonly<Record<ReplayOutcome["kind"], string>> = {
  applied: "applied",
  superseded: "superseded",
  failed: "failed",
  "held-back": "held back",
  settled: "settled before",
  unpassed: "left to the sink",
};

const SUPERSEDED =
  "Superseded: the destination has a newer event of the key. SQL that wants every event (adds, logs): --even-if-superseded.";

function explanation(outcome: ReplayOutcome): string {
  switch (outcome.kind) {
    case "failed":
      return `${outcome.error.code}: ${outcome.error.detail}`.replaceAll(/\s+/g, " ");
    case "superseded":
      return outcome.by === null ? "its own event is compacted away" : `by offset ${outcome.by}`;
    case "held-back":
      return outcome.behind === null
        ? "the statement fails for every event alike"
        : `behind offset ${outcome.behind} of the same key, which waits`;
    case "settled":
      return outcome.state;
    case "unpassed":
      return "the progress was set back before it: the sink applies it";
    case "applied":
      return "";
  }
}

function countOf(replayed: readonly Replayed[], kind: ReplayOutcome["kind"]): number {
  return replayed.filter(({ outcome }) => outcome.kind === kind).length;
}
