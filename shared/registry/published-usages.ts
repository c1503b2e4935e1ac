import {
  consumerSubject,
  consumerSubjectPrefix,
  isSameUsage,
  type PublishedUsage,
  publishedUsageOf,
  usageSchemaOf,
} from "../contracts/consumers/usage-schema.ts";
import type { Contract } from "../contracts/evolution/schema-change.ts";
import { RejotError } from "../errors/error.ts";
import { manifestTopicPart, subjects } from "../kafka/naming.ts";
import type { SubjectFilter } from "./list-subjects.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

/** A published consumer schema and where it stands. */
export interface UsageSubject extends PublishedUsage {
  readonly subject: string;
}

/** What `publishUsage` did. */
export type UsageOutcome = "published" | "unchanged";

/**
 * Tells the registry what a consumer schema uses. Nothing is written when it says so already.
 * Throws CONSUMER_NOT_REGISTERED when the subject is another consumer schema's, REGISTRY_*.
 */
export async function publishUsage(
  registry: SchemaRegistry,
  wanted: Omit<PublishedUsage, "at">,
  now: Date,
): Promise<UsageOutcome> {
  const subject = consumerSubject(wanted);
  const published = { ...wanted, at: now.toISOString() };
  const latest = await registry.latest(subject);
  const current = latest === undefined ? undefined : publishedUsageOf(latest);
  if (current !== undefined && isSameUsage(current, published)) return "unchanged";
  const { manifestSlug, name } = wanted.usage;
  if (current !== undefined && (current.usage.manifestSlug !== manifestSlug || current.usage.name !== name)) {
    throw new RejotError("CONSUMER_NOT_REGISTERED", {
      detail: `the subject ${subject} is taken by "${current.usage.name}" of ${current.usage.manifestSlug}`,
      hint: "Rename one of the two consumer schemas.",
    });
  }
  await registry.put(subject, usageSchemaOf(published));
  return "published";
}

/** The consumer schemas that say they read one of the topics. Throws REGISTRY_*. */
export async function publishedUsages(
  registry: SchemaRegistry,
  topics: readonly string[],
): Promise<UsageSubject[]> {
  const prefixes = topics.map(consumerSubjectPrefix);
  const [only] = prefixes;
  if (only === undefined) return [];
  const filter = prefixes.length === 1 ? { prefix: only } : { contains: "-consumer." };
  return readUsages(registry, filter, (subject) => prefixes.some((prefix) => subject.startsWith(prefix)));
}

/** Whose entries are looked through, and which of them stay. */
export interface TakeBack {
  readonly manifestSlug: string;
  readonly topicPrefix: string;
  /** Subjects that are right as they are. */
  readonly keep: ReadonlySet<string>;
  /** Only entries of these consumer schemas; all of the manifest when left out. */
  readonly names?: ReadonlySet<string>;
}

/**
 * Takes back what a manifest's consumer schemas no longer read: entries under other subjects than `keep`.
 * Those of other manifests, and of other topic prefixes (environments that share a registry), are left alone.
 * Returns the subjects deleted. Throws REGISTRY_*.
 */
export async function takeBackUsages(
  registry: SchemaRegistry,
  { manifestSlug, topicPrefix, keep, names }: TakeBack,
): Promise<string[]> {
  const mark = `-consumer.${manifestTopicPart(manifestSlug)}.`;
  const stale = await readUsages(registry, { contains: mark }, (subject) => !keep.has(subject));
  const deleted: string[] = [];
  for (const { subject, usage, topicPrefix: theirs } of stale) {
    if (usage.manifestSlug !== manifestSlug || theirs !== topicPrefix) continue;
    if (names !== undefined && !names.has(usage.name)) continue;
    if (await registry.remove(subject)) deleted.push(subject);
  }
  return deleted;
}

/** The latest key and value of a topic; undefined while one of them is not registered. Throws REGISTRY_*. */
export async function latestContract(registry: SchemaRegistry, topic: string): Promise<Contract | undefined> {
  const subject = subjects(topic);
  const [key, value] = [await registry.latest(subject.key), await registry.latest(subject.value)];
  return key === undefined || value === undefined ? undefined : { key, value };
}

async function readUsages(
  registry: SchemaRegistry,
  filter: SubjectFilter,
  isWanted: (subject: string) => boolean,
): Promise<UsageSubject[]> {
  const found: UsageSubject[] = [];
  for (const subject of (await registry.subjects(filter)).filter(isWanted)) {
    const schema = await registry.latest(subject);
    const published = schema === undefined ? undefined : publishedUsageOf(schema);
    // The attribute is what counts: another schema may happen to be named like one of ours.
    if (published !== undefined && consumerSubject(published) === subject)
      found.push({ ...published, subject });
  }
  return found;
}
