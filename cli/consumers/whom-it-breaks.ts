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

/**
 * Names each consumer schema that a change since any of the earlier versions breaks, with the placeholder in its SQL;
 * and each changed field that no known consumer uses. Field by field, whether Avro allows the change or not.
 */
export async function whomItBreaks(compared: Compared, known: KnownConsumers): Promise<Diagnostic[]> {
  const { own, earlier } = compared;
  if (earlier.every((version) => changesSince(version, own.contract).length === 0)) return [];
  const changed = changedFields(compared);
  const found = new Map<string, Diagnostic>();
  const used = new Set<string>();
  for (const before of contractsBefore(compared)) {
    for (const consumer of await known.of(majorOf(own), before)) {
      for (const broken of brokenUses(consumer.usage, own.contract)) {
        const each = brokenDiagnostic(consumer, broken);
        found.set(JSON.stringify([each.location, each.message]), each);
        if (broken.use.field !== undefined) used.add(broken.use.field);
      }
    }
  }
  const place = publicSchemaPlace(own.loaded, own.resolved.schema);
  const unused = [...changed].filter((field) => !used.has(field)).map((field) => `"${field}"`);
  const name = majorName(majorOf(own));
  if (unused.length === 0) return [...found.values()];
  const nobody = diagnostic("CONSUMER_NONE_KNOWN", "info", place, `${unused.join(", ")} of ${name}`);
  return [...found.values(), nobody];
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

function brokenDiagnostic(
  { usage, place }: KnownConsumer,
  { use, message, severity }: BrokenUse,
): Diagnostic {
  const { statement, placeholder, at } = use;
  const where = `${placeholder} in ${statement}, line ${at.line}, column ${at.column}`;
  const who = `${consumerName(usage)} (group ${usage.group}) reads ${majorName(usage.reads)}`;
  return {
    ...diagnostic("CONSUMER_BROKEN", severity, place(use), `${message}: ${who}, ${where}`),
    manifest: usage.manifestSlug,
    sql: at,
  };
}
