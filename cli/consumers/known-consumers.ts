import {
  type ConsumerUsage,
  type FieldUse,
  usageOf,
} from "../../shared/contracts/consumers/consumer-usage.ts";
import type { Contract } from "../../shared/contracts/evolution/schema-change.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { consumerGroup } from "../../shared/kafka/naming.ts";
import type { Place } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema } from "../../shared/manifest/schema.ts";
import { consumerSchemaPlace, consumerStatementPlace } from "../../shared/manifest/schema-place.ts";
import { publishedUsages, type UsageSubject } from "../../shared/registry/published-usages.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";

/** A consumer schema that is known to read a public schema, and how reports name where it stands. */
export interface KnownConsumer {
  readonly usage: ConsumerUsage;
  /** The consumer schema, or one use in its SQL. */
  place(use?: FieldUse): Place;
}

/** One major version of a public schema. */
export interface Major {
  readonly manifestSlug: string;
  readonly name: string;
  readonly majorVersion: number;
  readonly topic: string;
  readonly topicPrefix: string;
}

/** Who reads public schemas: the manifests of the workspace, and, where it is asked, what the registry was told. */
export class KnownConsumers {
  readonly #workspace: readonly LoadedManifest[];
  readonly #published: ReadonlyMap<string, readonly UsageSubject[]>;
  /** How many come from where, for the summary. */
  readonly counts: { readonly workspace: number; readonly registry: number };

  private constructor(
    workspace: readonly LoadedManifest[],
    published: ReadonlyMap<string, readonly UsageSubject[]>,
  ) {
    this.#workspace = workspace;
    this.#published = published;
    this.counts = {
      workspace: workspace.reduce((sum, { manifest }) => sum + (manifest.consumerSchemas ?? []).length, 0),
      registry: [...published.values()].flat().length,
    };
  }

  /**
   * Asks each topic's registry once; none when only the workspace is to be looked at. What the registry was told by
   * a manifest of the workspace is passed over: the manifest itself is newer. Throws REGISTRY_*.
   */
  static async open(
    workspace: readonly LoadedManifest[],
    topics: readonly { readonly topic: string; readonly registry: SchemaRegistry | undefined }[],
  ): Promise<KnownConsumers> {
    const own = new Set(workspace.map(({ manifest }) => manifest.slug));
    const published = new Map<string, UsageSubject[]>();
    for (const registry of new Set(topics.map((each) => each.registry))) {
      if (registry === undefined) continue;
      const asked = topics.filter((each) => each.registry === registry).map(({ topic }) => topic);
      for (const found of await publishedUsages(registry, asked)) {
        const topic = asked.find((each) => found.subject.startsWith(`${each}-consumer.`)) ?? "";
        if (own.has(found.usage.manifestSlug)) continue;
        published.set(topic, [...(published.get(topic) ?? []), found]);
      }
    }
    return new KnownConsumers(workspace, published);
  }

  /**
   * Who reads a major version. `before` is the version that the workspace's consumer schemas were written for: what
   * the registry knows says so itself. Statements that do not parse use nothing; `collect --check` reports them.
   */
  async of(major: Major, before: Contract | undefined): Promise<KnownConsumer[]> {
    const known: KnownConsumer[] = [];
    for (const loaded of this.#workspace) {
      for (const consumerSchema of loaded.manifest.consumerSchemas ?? []) {
        if (!reads(consumerSchema, major)) continue;
        const usage = await usageIn(loaded, consumerSchema, major, before);
        if (usage !== undefined) known.push({ usage, place: placeInWorkspace(loaded, consumerSchema) });
      }
    }
    for (const { usage, subject } of this.#published.get(major.topic) ?? []) {
      known.push({ usage, place: () => ({ location: `${subject} in the registry` }) });
    }
    return known;
  }
}

function reads(consumer: ConsumerSchema, { manifestSlug, name, majorVersion }: Major): boolean {
  return (
    consumer.sourceManifestSlug === manifestSlug &&
    consumer.publicSchema.name === name &&
    consumer.publicSchema.majorVersion === majorVersion
  );
}

async function usageIn(
  { manifest }: LoadedManifest,
  consumerSchema: ConsumerSchema,
  { topicPrefix }: Major,
  before: Contract | undefined,
): Promise<ConsumerUsage | undefined> {
  const { destinationDataStoreSlug } = consumerSchema.config;
  const group = consumerGroup(topicPrefix, manifest.slug, destinationDataStoreSlug);
  try {
    return await usageOf({ manifestSlug: manifest.slug, consumerSchema, group }, before);
  } catch (error) {
    if (!(error instanceof RejotError)) throw error;
    return undefined;
  }
}

function placeInWorkspace(loaded: LoadedManifest, consumer: ConsumerSchema): KnownConsumer["place"] {
  return (use) =>
    use === undefined
      ? consumerSchemaPlace(loaded, consumer)
      : // Only its position is looked at.
        consumerStatementPlace(
          loaded,
          consumer,
          use.statement,
          new RejotError("CONSUMER_BROKEN", { sql: use.at }),
        );
}
