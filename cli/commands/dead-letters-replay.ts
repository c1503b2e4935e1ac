import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import type {
  EventPlace,
  LetterFilter,
  NotedLetter,
} from "../../sink-connector/dead-letter/postgres-letter-book.ts";
import { type CliContext, Exit } from "../context.ts";
import { NOTHING_SET_ASIDE, nameOf, setsNothingAside, targetsOf } from "../dead-letters/destinations.ts";
import { formatLetterId, parseLetterId } from "../dead-letters/letter-id.ts";
import { CONSUMERS_OF_EVENT, type Opened, withLetters } from "../dead-letters/opened.ts";
import { leftWaiting, type Replayed, replayedJson, replayedText } from "../dead-letters/replay-text.ts";
import { withExamples } from "../help.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { plural } from "../report.ts";

interface SelectionFlags extends JsonFlag {
  readonly schema?: string;
  readonly all?: boolean;
}

interface ReplayFlags extends SelectionFlags {
  readonly dryRun?: boolean;
  readonly evenIfSuperseded?: boolean;
}

/** `dead-letters replay`: apply them again once their cause is put right. */
export function addReplay(group: Command, context: CliContext): void {
  const replay = withSelection(group.command("replay"))
    .description("apply dead letters again, once each; exit code 1 when some wait on")
    .option(
      "--dry-run",
      "only show what would be applied (each is tried, and taken back), and what is superseded",
    )
    .option(
      "--even-if-superseded",
      "apply also what newer events of the key have superseded, for SQL that adds",
    )
    .action((manifest: string, ids: string[], flags: ReplayFlags) =>
      replayAll(manifest, ids, flags, context),
    );
  withExamples(
    replay,
    "dead-letters replay . --all --dry-run",
    "dead-letters replay . --all --schema copy",
    "dead-letters replay . shop.product.v1/0/17 shop.product.v1/0/23",
  );
}

/** `dead-letters discard`: settle what is not wanted. */
export function addDiscard(group: Command, context: CliContext): void {
  const discard = withSelection(group.command("discard"))
    .description("settle dead letters that are not wanted any more; their records stay in Kafka")
    .action((manifest: string, ids: string[], flags: SelectionFlags) =>
      discardAll(manifest, ids, flags, context),
    );
  withExamples(
    discard,
    "dead-letters discard . shop.product.v1/0/17",
    "dead-letters discard . --all --schema copy",
  );
}

function withSelection(command: Command): Command {
  return addJsonOption(command)
    .argument("<manifest>", "a manifest file, or a folder that holds one")
    .argument("[ids...]", "as list shows them: topic/partition/offset of the event")
    .option("--schema <consumer-schema>", "those of one consumer schema")
    .option("--all", "all that wait");
}

async function replayAll(
  manifest: string,
  ids: readonly string[],
  flags: ReplayFlags,
  context: CliContext,
): Promise<void> {
  const { dryRun = false, evenIfSuperseded = false, schema } = flags;
  const events = eventsNamed(ids, flags);
  const targets = await targetsOf(manifest, schema, context);
  const results: { opened: Opened; replayed: Replayed[] }[] = [];
  const report = (): void =>
    printResult(
      context,
      flags,
      results.map(({ opened, replayed }) => ({ ...about(opened), dryRun, ...replayedJson(replayed) })),
      () =>
        results
          .map(({ opened: { target }, replayed }) => {
            const text = replayedText(nameOf(target), replayed, dryRun);
            return replayed.length === 0 && setsNothingAside(target)
              ? `${text}\n  ${NOTHING_SET_ASIDE}`
              : text;
          })
          .join("\n"),
    );
  await withLetters(targets, async (all) => {
    const { replayLetters } = await import("../../sink-connector/letter-replay.ts");
    const found = await findNamed(all, events);
    for (const opened of all) {
      const { letters } = opened;
      const replayed: Replayed[] = settledBefore(found.get(opened) ?? [], evenIfSuperseded);
      results.push({ opened, replayed });
      try {
        await replayLetters(letters, {
          filter: filterOf(opened, events),
          dryRun,
          evenIfSuperseded,
          onOutcome: (letter, outcome) => replayed.push({ letter, outcome }),
        });
      } catch (error) {
        // What was done before a server went away is done, and worth knowing.
        if (flags.json !== true && replayed.length > 0) report();
        throw error;
      }
    }
  });
  report();
  if (results.some(({ replayed }) => leftWaiting(replayed))) throw new Exit(1);
}

async function discardAll(
  manifest: string,
  ids: readonly string[],
  flags: SelectionFlags,
  context: CliContext,
): Promise<void> {
  const events = eventsNamed(ids, flags);
  const results: { opened: Opened; discarded: number }[] = [];
  await withLetters(await targetsOf(manifest, flags.schema, context), async (all) => {
    await findNamed(all, events);
    for (const opened of all)
      results.push({ opened, discarded: await opened.letters.discard(filterOf(opened, events)) });
  });
  printResult(
    context,
    flags,
    results.map(({ opened, discarded }) => ({ ...about(opened), discarded })),
    () =>
      results
        .map(({ opened: { target }, discarded }) =>
          discarded === 0
            ? `${nameOf(target)}: none of them waited`
            : `${nameOf(target)}: ${plural(discarded, "dead letter")} discarded`,
        )
        .join("\n"),
  );
}

/** The events that the ids name; undefined for all. Throws USAGE. */
function eventsNamed(ids: readonly string[], { all = false }: SelectionFlags): EventPlace[] | undefined {
  if (all && ids.length > 0) throw new RejotError("USAGE", { detail: "either ids or --all, not both" });
  if (!all && ids.length === 0)
    throw new RejotError("USAGE", { detail: "name the ids of dead letters, or --all of them" });
  return all ? undefined : ids.map(parseLetterId);
}

/** Makes certain that every letter named is there before anything is done. Throws DEAD_LETTER_NOT_FOUND. */
async function findNamed(
  all: readonly Opened[],
  events: readonly EventPlace[] | undefined,
): Promise<Map<Opened, NotedLetter[]>> {
  const found = new Map<Opened, NotedLetter[]>();
  if (events === undefined) return found;
  const missing = new Set(events.map(formatLetterId));
  for (const opened of all) {
    const limit = events.length * CONSUMERS_OF_EVENT;
    const noted = await opened.letters.select(filterOf(opened, events), { limit });
    for (const letter of noted) missing.delete(formatLetterId(letter));
    found.set(opened, noted);
  }
  if (missing.size > 0) throw new RejotError("DEAD_LETTER_NOT_FOUND", { detail: [...missing].join(", ") });
  return found;
}

function settledBefore(named: readonly NotedLetter[], evenIfSuperseded: boolean): Replayed[] {
  return named.flatMap((letter): Replayed[] => {
    const { state } = letter;
    if (state === "waiting" || (evenIfSuperseded && state === "superseded")) return [];
    return [{ letter, outcome: { kind: "settled", state } }];
  });
}

function filterOf(
  { target: { consumerNames } }: Opened,
  events: readonly EventPlace[] | undefined,
): LetterFilter {
  return { consumerNames, events };
}

function about({ target: { destination } }: Opened): object {
  return { manifest: destination.manifestSlug, dataStore: destination.dataStoreSlug };
}
