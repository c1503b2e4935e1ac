import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { type Completion, complete } from "./candidates.ts";
import { knownValues } from "./known-values.ts";

/** The first word of the command line by which a shell asks; the words to complete follow behind `--`. */
export const COMPLETE = "__complete";

/** The last line printed when file names are to be completed as well. */
const FILES_LINE = ":files";

const MAX_DESCRIPTION = 80;

/**
 * Answers a shell: a line per candidate, value and description with a tab between, and `:files`. Always ends well
 * and says nothing else: a person is typing.
 */
export async function printCandidates(
  program: Command,
  args: readonly string[],
  context: CliContext,
): Promise<number> {
  const { words, cut } = joinSplitWords(args.slice(args.indexOf("--") + 1));
  const { candidates, files } = await complete(program, words, knownValues).catch(() => NOTHING);
  const lines = candidates.map(({ value, description }) =>
    `${value.slice(cut)}\t${shortened(description)}`.trimEnd(),
  );
  if (files) lines.push(FILES_LINE);
  if (lines.length > 0) context.print(lines.join("\n"));
  return 0;
}

const NOTHING: Completion = { candidates: [], files: false };

/**
 * bash hands over `--format=json` as three words and puts the answer in place of the last: joins them, and says how
 * much of the last word stands before that place.
 */
export function joinSplitWords(given: readonly string[]): { words: string[]; cut: number } {
  const words: string[] = [];
  let open = false;
  for (const word of given) {
    const isBreak = /^[=:]+$/.test(word);
    if ((isBreak || open) && words.length > 0) words.push(`${words.pop()}${word}`);
    else words.push(word);
    open = isBreak;
  }
  const whole = words.at(-1) ?? "";
  const last = given.at(-1) ?? "";
  return { words, cut: open ? whole.length : whole.length - last.length };
}

function shortened(description: string): string {
  const line = description.replaceAll(/\s+/g, " ");
  return line.length <= MAX_DESCRIPTION ? line : `${line.slice(0, MAX_DESCRIPTION - 1)}…`;
}
