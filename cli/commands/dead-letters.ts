import { type Command, InvalidArgumentError, Option } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import type { LetterCount, LetterFilter } from "../../sink-connector/dead-letter/postgres-letter-book.ts";
import type { ReadableLetter } from "../../sink-connector/postgres-destination-letters.ts";
import type { CliContext } from "../context.ts";
import {
  NOTHING_SET_ASIDE,
  nameOf,
  setsNothingAside,
  type Target,
  targetsOf,
} from "../dead-letters/destinations.ts";
import { parseLetterId, parseSince } from "../dead-letters/letter-id.ts";
import { letterJson, lettersTable, letterText } from "../dead-letters/letter-text.ts";
import { CONSUMERS_OF_EVENT, withLetters } from "../dead-letters/opened.ts";
import { withExamples } from "../help.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { plural } from "../report.ts";
import { addDiscard, addReplay } from "./dead-letters-replay.ts";

interface ListFlags extends JsonFlag {
  readonly schema?: string;
  readonly since?: string;
  readonly limit: number;
  readonly all?: boolean;
}

const DEFAULT_LIMIT = 50;

/** `dead-letters`: events that were set aside, to be looked at and put right. */
export function addDeadLetters(parent: Command, context: CliContext): void {
  const group = parent
    .command("dead-letters")
    .description("events that were set aside because a consumer schema could not apply them");
  withExamples(group, "dead-letters list .", "dead-letters replay . --all --dry-run");

  const list = addJsonOption(group.command("list"))
    .description("how many dead letters wait, and what they are")
    .argument("<manifest>", "a manifest file, or a folder that holds one")
    .option("--schema <consumer-schema>", "those of one consumer schema")
    .option("--since <when>", "set aside since a time (2026-01-31T18:00Z), or so long ago (30m, 2h, 7d)")
    .addOption(
      new Option("--limit <letters>", "letters shown of each destination")
        .argParser(wholeNumber)
        .default(DEFAULT_LIMIT),
    )
    .option("--all", "also those that are settled: replayed, superseded or discarded")
    .action((manifest: string, flags: ListFlags) => listLetters(manifest, flags, context));
  withExamples(list, "dead-letters list .", "dead-letters list accounts --schema copy --since 2h --json");

  const show = addJsonOption(group.command("show"))
    .description("a dead letter's event, decoded, and the whole error")
    .argument("<manifest>", "a manifest file, or a folder that holds one")
    .argument("<id>", "as list shows it: topic/partition/offset of the event")
    .option("--schema <consumer-schema>", "where the event was set aside for several")
    .action((manifest: string, id: string, flags: ListFlags) => showLetter(manifest, id, flags, context));
  withExamples(show, "dead-letters show . shop.product.v1/0/17");
  addReplay(group, context);
  addDiscard(group, context);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("a whole number above 0 is expected");
  return value;
}

interface Listed {
  readonly target: Target;
  readonly counts: readonly LetterCount[];
  readonly letters: readonly ReadableLetter[];
}

async function listLetters(manifest: string, flags: ListFlags, context: CliContext): Promise<void> {
  const { schema, since, limit, all } = flags;
  const filter: LetterFilter = {
    ...(all ? {} : { states: ["waiting"] }),
    ...(since === undefined ? {} : { setAsideSince: parseSince(since, new Date()) }),
  };
  const listed: Listed[] = [];
  await withLetters(await targetsOf(manifest, schema, context), async (opened) => {
    for (const { letters, target } of opened) {
      const { consumerNames } = target;
      const counts = (await letters.counts()).filter((c) => consumerNames?.includes(c.consumerName) ?? true);
      listed.push({ target, counts, letters: await letters.list({ ...filter, consumerNames }, limit) });
    }
  });
  printResult(context, flags, listed.map(listedJson), () =>
    listed.map((each) => listedText(each, limit)).join("\n\n"),
  );
}

function listedJson({ target: { destination }, counts, letters }: Listed): object {
  return {
    manifest: destination.manifestSlug,
    dataStore: destination.dataStoreSlug,
    waiting: total(counts),
    consumerSchemas: counts.map(({ consumerName, topic, waiting }) => ({
      name: consumerName,
      topic,
      waiting,
    })),
    letters: letters.map(letterJson),
  };
}

function listedText({ target, counts, letters }: Listed, limit: number): string {
  const waiting = total(counts);
  const name = nameOf(target);
  const head = waiting === 0 ? `${name}: no dead letters wait` : `${name}: ${plural(waiting, "dead letter")}`;
  const lines = [head, ...counts.map((c) => `  ${c.waiting} of ${c.topic} for ${c.consumerName}`)];
  if (letters.length > 0) lines.push("", lettersTable(letters));
  if (letters.length === limit && limit < waiting) lines.push(`  … --limit shows more than ${limit}`);
  if (waiting === 0 && setsNothingAside(target)) lines.push(`  ${NOTHING_SET_ASIDE}`);
  return lines.join("\n");
}

function total(counts: readonly LetterCount[]): number {
  return counts.reduce((sum, { waiting }) => sum + waiting, 0);
}

async function showLetter(
  manifest: string,
  id: string,
  flags: ListFlags,
  context: CliContext,
): Promise<void> {
  const events = [parseLetterId(id)];
  const found: ReadableLetter[] = [];
  await withLetters(await targetsOf(manifest, flags.schema, context), async (opened) => {
    for (const { letters, target } of opened)
      found.push(
        ...(await letters.list({ events, consumerNames: target.consumerNames }, CONSUMERS_OF_EVENT)),
      );
  });
  if (found.length === 0) throw new RejotError("DEAD_LETTER_NOT_FOUND", { detail: id });
  printResult(context, flags, found.map(letterJson), () => found.map(letterText).join("\n\n"));
}
