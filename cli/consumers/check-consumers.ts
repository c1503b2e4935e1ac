import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import { manifestPlace } from "../../shared/manifest/schema-place.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { checkWorkspace, kafkaEventStore } from "../../shared/manifest/workspace.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { plural } from "../report.ts";
import { type History, registryOf } from "../schema/history.ts";
import type { OwnSchema } from "../schema/own-schemas.ts";
import { loadSurroundings } from "../workspace-file.ts";
import { readersOf } from "./event-store.ts";
import { type GoneMajor, goneFromRegistry, majorOfManifest, reportGone, tryReaders } from "./gone-majors.ts";
import { KnownConsumers } from "./known-consumers.ts";
import { checkOwnConsumers, ownConsumers } from "./own-consumers.ts";
import { type Breakage, breakageDiagnostics, type Compared, whomItBreaks } from "./whom-it-breaks.ts";

/** What a check of public schemas has looked at. */
export interface ConsumersToCheck {
  readonly manifestFile: string;
  /** The manifests that are checked. */
  readonly manifests: readonly LoadedManifest[];
  readonly schemas: readonly OwnSchema[];
  readonly compared: readonly Compared[];
  readonly histories: readonly History[];
  readonly env: Environment;
}

/** What was found. */
export interface CheckedConsumers {
  readonly diagnostics: readonly Diagnostic[];
  /** How many consumer schemas are known, and from where. */
  readonly summary: string;
  readonly breakages: ReadonlyMap<OwnSchema, Breakage>;
}

/**
 * The consumers' side of a check: whom changes break, who still reads what is gone, and what the registry says
 * against the manifests' own consumer schemas. The registry and Kafka are asked only where the check is against the
 * registry. Throws REGISTRY_*.
 */
export async function checkConsumers(options: ConsumersToCheck): Promise<CheckedConsumers> {
  const { manifestFile, manifests, schemas, compared, histories, env } = options;
  const { target, others, diagnostics: surroundings } = await loadSurroundings(manifestFile);
  const workspace = [target, ...others];
  const asksRegistry = histories.some(({ name }) => name === "registry");
  const registries = new Map<LoadedManifest, SchemaRegistry>();
  if (asksRegistry) for (const loaded of manifests) registries.set(loaded, registryOf(loaded, env));

  const gone = await goneMajors(options, registries);
  const topics = [
    ...schemas.map(({ loaded, resolved: { topic } }) => ({ topic, registry: registries.get(loaded) })),
    ...gone.map(({ loaded, major: { topic } }) => ({ topic, registry: registries.get(loaded) })),
  ];
  const known = await KnownConsumers.open(workspace, topics);
  const diagnostics = [...surroundings];
  const breakages = new Map<OwnSchema, Breakage>();
  for (const each of compared) {
    const breakage = await whomItBreaks(each, known);
    breakages.set(each.own, breakage);
    diagnostics.push(...breakageDiagnostics(breakage, each.own));
  }
  diagnostics.push(...(await whoReadsWhatIsGone(gone, known, asksRegistry, env)));
  if (asksRegistry) {
    const { publicSchemas } = await checkWorkspace(workspace);
    diagnostics.push(...(await checkOwnConsumers(ownConsumers(manifests, workspace, publicSchemas, env))));
  }
  const { counts } = known;
  const outside = asksRegistry ? `${counts.registry} outside, by the registry` : "the registry was not asked";
  const summary = `${plural(counts.workspace, "consumer schema")} in the workspace, ${outside}`;
  return { diagnostics, summary, breakages };
}

async function goneMajors(
  { manifests, schemas, histories }: ConsumersToCheck,
  registries: ReadonlyMap<LoadedManifest, SchemaRegistry>,
): Promise<GoneMajor[]> {
  const gone = new Map<string, GoneMajor & { origins: string[] }>();
  for (const loaded of manifests) {
    const topicPrefix = kafkaEventStore(loaded.manifest)?.topicPrefix ?? "";
    const { slug } = loaded.manifest;
    const add = (name: string, majorVersion: number, origin: string): void => {
      const major = majorOfManifest(slug, name, majorVersion, topicPrefix);
      const known = gone.get(major.topic) ?? { loaded, major, origins: [] };
      known.origins.push(origin);
      gone.set(major.topic, known);
    };
    const own = schemas.filter(({ resolved }) => resolved.manifestSlug === slug);
    for (const history of histories) {
      for (const { name, major } of history.gone(slug, own)) add(name, major, history.name);
    }
    const registry = registries.get(loaded);
    if (registry === undefined) continue;
    for (const { name, majorVersion } of await goneFromRegistry(registry, loaded, topicPrefix))
      add(name, majorVersion, "registry");
  }
  return [...gone.values()];
}

/** Groups are looked up in one Kafka after the other: manifests of one check may have several. */
async function whoReadsWhatIsGone(
  gone: readonly GoneMajor[],
  known: KnownConsumers,
  asksKafka: boolean,
  env: Environment,
): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  for (const loaded of new Set(gone.map((each) => each.loaded))) {
    const own = gone.filter((each) => each.loaded === loaded);
    const topics = own.map(({ major: { topic } }) => topic);
    const readers = asksKafka ? await tryReaders(() => readersOf(loaded, topics, env)) : { groups: [] };
    diagnostics.push(...(await reportGone(own, known, readers)));
    if (readers.notAsked === undefined) continue;
    const place = manifestPlace(loaded, ["eventStores"]);
    const detail = `${topics.join(", ")}: ${readers.notAsked.message}`;
    diagnostics.push(diagnostic("CONSUMER_GROUPS_NOT_ASKED", "info", place, detail));
  }
  return diagnostics;
}
