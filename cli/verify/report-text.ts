import { plural } from "../report.ts";
import { differences, type Found, type PairReport } from "./pair-report.ts";

/** What a comparison has found, in lines. */
export function pairText(report: PairReport): string {
  const { incomparable, error, compared, notes } = report;
  const lines = [titleOf(report)];
  if (error !== null) lines.push(`${error.code}: ${error.message}`, `hint: ${error.hint}`);
  if (incomparable !== null) lines.push(`not compared: ${incomparable}`);
  if (compared) lines.push(...foundLines(report));
  lines.push(...notes.map((note) => `note: ${note}`));
  return lines.map((line, i) => (i === 0 ? line : `  ${line}`)).join("\n");
}

/** One line about all of it, for the subject of a mail. */
export function verdictLine(reports: readonly PairReport[]): string {
  const failed = reports.filter(({ error }) => error !== null);
  const incomparable = reports.filter((report) => report.error === null && report.incomparable !== null);
  const compared = reports.filter((report) => report.compared);
  const differing = compared.filter((report) => differences(report) > 0);
  const keys = compared.reduce((sum, report) => sum + report.keys, 0);
  const unsettled = compared.reduce((sum, report) => sum + report.unsettled.count, 0);
  const outcome = unsettled > 0 ? "none different" : "all equal";
  const parts = [
    differing.length === 0
      ? `${plural(compared.length, "comparison")} of ${count(keys)} keys, ${outcome}`
      : differing.map((report) => `${shortName(report)}: ${countsOf(report)}`).join("; "),
  ];
  if (compared.length === 0) parts.shift();
  if (failed.length > 0) parts.push(`failed: ${failed.map(shortName).join(", ")}`);
  if (unsettled > 0) parts.push(`${count(unsettled)} unsettled`);
  if (incomparable.length > 0) parts.push(`not compared: ${incomparable.map(shortName).join(", ")}`);
  const words: readonly [string, boolean][] = [
    ["DIFFERENT", differing.length > 0],
    ["FAILED", failed.length > 0],
    ["UNSETTLED", unsettled > 0],
    ["EQUAL", compared.length > 0],
  ];
  return `${words.find(([, applies]) => applies)?.[0] ?? "NOTHING COMPARED"}: ${parts.join("; ")}`;
}

function titleOf(report: PairReport): string {
  const { kind, manifest, dataStore, publicSchema, consumerSchema, topic, position } = report;
  const at =
    position === null
      ? ""
      : typeof position === "string"
        ? ` at ${position}`
        : ` at offsets ${Object.entries(position)
            .map(([partition, offset]) => `${partition}@${offset}`)
            .join(", ")}`;
  return kind === "source"
    ? `${publicSchema}: ${manifest} ${dataStore} → ${topic}${at}`
    : `${consumerSchema}: ${topic} → ${manifest} ${dataStore}${at}`;
}

function foundLines(report: PairReport): string[] {
  const { kind, missing, extra, different, undecodable, unsettled } = report;
  const [from, to] = kind === "source" ? ["source", "topic"] : ["topic", "destination"];
  const lines = [`${count(report.keys)} keys: ${countsOf(report)}`];
  lines.push(...keys(`missing: in the ${from}, not in the ${to}`, missing));
  if (extra !== null) lines.push(...keys(`extra: in the ${to}, not in the ${from}`, extra));
  if (different.count > 0) {
    const fields = Object.entries(different.fields).map(([field, times]) => `${field} (${count(times)})`);
    lines.push(`different: ${fields.join(", ") || "no field of the public schema"}`);
    lines.push(...different.first.map(({ key, fields: names }) => `  ${key}: ${names.join(", ")}`));
    lines.push(...more(different));
  }
  if (undecodable.count > 0) {
    lines.push(
      kind === "source"
        ? "undecodable: not written by a source, or with a schema that the registry does not have"
        : "undecodable: cannot be decoded, or has values that the statement does not take",
    );
    lines.push(...undecodable.first.map(({ at, key, reason }) => `  ${at} key ${key}: ${reason}`));
    lines.push(...more(undecodable));
  }
  lines.push(...keys("unsettled: changed in every round, nothing can be said", unsettled));
  return lines;
}

function keys(title: string, found: Found): string[] {
  return found.count === 0 ? [] : [title, ...found.first.map((key) => `  ${key}`), ...more(found)];
}

function more({
  count: all,
  first,
}: {
  readonly count: number;
  readonly first: readonly unknown[];
}): string[] {
  return all > first.length ? [`  and ${count(all - first.length)} more`] : [];
}

function countsOf({
  equal,
  missing,
  extra,
  extraAllowed,
  different,
  undecodable,
  unsettled,
}: PairReport): string {
  const counts: [string, number][] = [
    ["missing", missing.count],
    [extraAllowed ? "extra (allowed)" : "extra", extra?.count ?? 0],
    ["different", different.count],
    ["undecodable", undecodable.count],
    ["unsettled", unsettled.count],
  ];
  const found = counts.filter(([, number]) => number > 0).map(([what, number]) => `${count(number)} ${what}`);
  return [`${count(equal)} equal`, ...found].join(", ");
}

function shortName({ publicSchema, consumerSchema }: PairReport): string {
  return consumerSchema === null ? publicSchema : `${publicSchema} → ${consumerSchema}`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
