import { type BrokenUse, brokenUses } from "../../shared/contracts/consumers/broken-consumers.ts";
import { consumerName, majorName } from "../../shared/contracts/consumers/consumer-usage.ts";
import type { Contract } from "../../shared/contracts/evolution/schema-change.ts";
import { changesSince, type EarlierVersion } from "../../shared/contracts/evolution/verdict.ts";
import { publicSchemaTopic } from "../../shared/kafka/naming.ts";
import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import { publicSchemaPlace } from "../../shared/manifest/schema-place.ts";
import type { OwnSchema } from "../schema/own-schemas.ts";
import type { KnownConsumer, KnownConsumers, Major } from "./known-consumers.ts";

/** A public schema and the versions it is compared with. */
export interface Compared {
  readonly own: OwnSchema;
  readonly earlier: readonly EarlierVersion[];
}

/** Whom changes since earlier versions break. */
export interface Breakage {
  readonly broken: readonly { readonly consumer: KnownConsumer; readonly use: BrokenUse }[];
  /** Changed fields that no known consumer uses. */
  readonly unused: readonly string[];
}

/**
 * Finds each placeholder of a consumer schema that a change since any of the earlier versions breaks, and each changed
 * field that no known consumer uses. Field by field, whether Avro allows the change or not.
 */
export async function whomItBreaks(compared: Compared, known: KnownConsumers): Promise<Breakage> {
  const { own, earlier } = compared;
  if (earlier.every((version) => changesSince(version, own.contract).length === 0))
    return { broken: [], unused: [] };
  const found = new Map<string, Breakage["broken"][number]>();
  for (const before of contractsBefore(compared)) {
    for (const consumer of await known.of(majorOf(own), before)) {
      for (const use of brokenUses(consumer.usage, own.contract)) {
        const { manifestSlug, name } = consumer.usage;
        found.set(JSON.stringify([manifestSlug, name, use.use, use.message]), { consumer, use });
      }
    }
  }
  const broken = [...found.values()];
  const used = new Set(broken.map(({ use }) => use.use.field));
  return { broken, unused: [...changedFields(compared)].filter((field) => !used.has(field)) };
}

/** The same as a check reports it. */
export function breakageDiagnostics({ broken, unused }: Breakage, own: OwnSchema): Diagnostic[] {
  const found = broken.map(({ consumer, use }) => brokenDiagnostic(consumer, use));
  if (unused.length === 0) return found;
  const place = publicSchemaPlace(own.loaded, own.resolved.schema);
  const fields = unused.map((field) => `"${field}"`).join(", ");
  const detail = `${fields} of ${majorName(majorOf(own))}`;
  return [...found, diagnostic("CONSUMER_NONE_KNOWN", "info", place, detail)];
}

/** The major version that a public schema of a manifest is. */
export function majorOf({ resolved: { manifestSlug, schema, topic } }: OwnSchema): Major {
  const [name, majorVersion] = [schema.name, schema.version.major];
  const bare = publicSchemaTopic("", manifestSlug, name, majorVersion);
  return { manifestSlug, name, majorVersion, topic, topicPrefix: topic.slice(0, -bare.length) };
}

/** Top-level fields that are gone or not what they were, for consumers that know an earlier version. */
function changedFields({ own, earlier }: Compared): Set<string> {
  const changes = earlier.flatMap((version) => changesSince(version, own.contract));
  const matters = changes.filter(
    ({ kind, breaks }) => kind === "field-removed" || breaks.includes("old-readers"),
  );
  return new Set(matters.map(({ path }) => /^[^.[{]*/.exec(path)?.[0] ?? "").filter((field) => field !== ""));
}

/** The earlier versions whole: a registry has versions of the key and of the value, each on its own. */
function contractsBefore({ own, earlier }: Compared): Contract[] {
  return earlier.map(({ contract }) => ({ ...own.contract, ...contract }));
}

/** A use in words: `:email in sql, line 2, column 8`. */
export function describeUse({ statement, placeholder, at }: BrokenUse["use"]): string {
  return `${placeholder} in ${statement}, line ${at.line}, column ${at.column}`;
}

function brokenDiagnostic(
  { usage, place }: KnownConsumer,
  { use, message, severity }: BrokenUse,
): Diagnostic {
  const who = `${consumerName(usage)} (group ${usage.group}) reads ${majorName(usage.reads)}`;
  return {
    ...diagnostic("CONSUMER_BROKEN", severity, place(use), `${message}: ${who}, ${describeUse(use)}`),
    manifest: usage.manifestSlug,
    sql: use.at,
  };
}
