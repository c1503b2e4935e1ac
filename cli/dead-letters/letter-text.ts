import type { ReadableLetter } from "../../sink-connector/postgres-destination-letters.ts";
import { table } from "../report.ts";
import { formatLetterId } from "./letter-id.ts";

/** Longer keys and errors are shown whole by `show`. */
const MAX_KEY = 40;
const MAX_ERROR = 100;

/** A letter with everything that is known of it, for `--json`. */
export function letterJson({ noted, content, key, value }: ReadableLetter): object {
  return {
    id: formatLetterId(noted),
    topic: noted.topic,
    partition: noted.partition,
    offset: noted.offset,
    position: positionOf(content),
    consumerSchema: noted.consumerName,
    state: noted.state,
    setAsideAt: noted.setAsideAt.toISOString(),
    settledAt: noted.settledAt?.toISOString() ?? null,
    replayError: noted.replayError ?? null,
    // Null when the record is gone from the dead letters' topic.
    event:
      content === undefined
        ? null
        : { operation: operationOf(content), committedAt: committedAt(content), key, value },
    error:
      content === undefined
        ? null
        : { code: content.errorCode, message: content.error, sqlState: content.sqlState ?? null },
  };
}

/** Letters as a table, one line each. */
export function lettersTable(letters: readonly ReadableLetter[]): string {
  const rows = letters.map(({ noted, content, key }) => [
    formatLetterId(noted),
    positionOf(content) ?? "",
    shortened(content === undefined ? "" : JSON.stringify(key), MAX_KEY),
    noted.consumerName,
    noted.state,
    noted.setAsideAt.toISOString(),
    shortened(content === undefined ? "its record is gone" : whyOf(content), MAX_ERROR),
  ]);
  return table([["id", "position", "key", "consumer schema", "state", "set aside", "why"], ...rows]);
}

/** Everything about one letter. */
export function letterText(letter: ReadableLetter): string {
  const { noted, content, key, value } = letter;
  const { replayError, settledAt } = noted;
  const rows = [
    ["consumer schema", noted.consumerName],
    ["state", settledAt === undefined ? noted.state : `${noted.state} at ${settledAt.toISOString()}`],
    ["set aside", noted.setAsideAt.toISOString()],
  ];
  if (content !== undefined) {
    rows.push(
      ["operation", operationOf(content)],
      ["position", positionOf(content) ?? "unknown"],
      ["committed", committedAt(content) ?? "unknown"],
      ["key", JSON.stringify(key)],
      ["error", whyOf(content)],
    );
  }
  if (replayError !== undefined) rows.push(["last replay", `${replayError.code}: ${replayError.message}`]);
  const event =
    content === undefined
      ? "Its record is gone from the dead letters' topic."
      : content.record.value === null
        ? "a tombstone"
        : JSON.stringify(value, null, 2);
  return `${formatLetterId(noted)}\n${table(rows)}\n${event.replaceAll(/^/gm, "  ")}`;
}

type Content = NonNullable<ReadableLetter["content"]>;

function whyOf({ errorCode, sqlState, error }: Content): string {
  // The server's own message says more than the code's title before it.
  const { 1: detail = error } = /^An event could not be applied[^:]*: (.*)$/s.exec(error) ?? [];
  return `${sqlState === undefined ? errorCode : `SQLSTATE ${sqlState}`}: ${detail}`;
}

function operationOf({ record }: Content): "upsert" | "delete" {
  return record.value === null ? "delete" : "upsert";
}

/** `<commit LSN>:<index>`; the header has the operation before it. */
function positionOf(content: Content | undefined): string | null {
  return content?.record.change?.toString("latin1", 2) ?? null;
}

function committedAt({ record }: Content): string | null {
  return Number.isNaN(record.timestampMs) ? null : new Date(record.timestampMs).toISOString();
}

function shortened(text: string, length: number): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}
