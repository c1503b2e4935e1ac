import { avroSchemasOf } from "../contracts/avro-schema.ts";
import { type ConsumerIdentity, usageOf } from "../contracts/consumers/consumer-usage.ts";
import { consumerSubject } from "../contracts/consumers/usage-schema.ts";
import type { Contract } from "../contracts/evolution/schema-change.ts";
import type { ResolvedPublicSchema } from "../manifest/workspace.ts";
import { publishUsage, takeBackUsages, type UsageOutcome } from "./published-usages.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

/** A consumer schema that is to be made known. */
export interface KnownConsumer extends ConsumerIdentity {
  readonly topicPrefix: string;
  /** The version of the public schema it is checked with. */
  readonly contract: Contract;
}

/** What became of one. */
export interface Registration {
  readonly name: string;
  readonly subject: string;
  readonly outcome: UsageOutcome;
}

/**
 * Tells the registry what the consumer schemas of one manifest use, and takes back what the same consumer schemas
 * said of topics that they read no longer. Can be repeated: what is there already is left alone.
 * Throws SQL_*, CONSUMER_NOT_REGISTERED, REGISTRY_*.
 */
export async function registerConsumers(
  registry: SchemaRegistry,
  consumers: readonly KnownConsumer[],
  now: Date = new Date(),
): Promise<Registration[]> {
  const registrations: Registration[] = [];
  for (const { contract, topicPrefix, ...identity } of consumers) {
    const usage = await usageOf(identity, contract);
    const outcome = await publishUsage(registry, { usage, topicPrefix }, now);
    registrations.push({ name: usage.name, subject: consumerSubject({ usage, topicPrefix }), outcome });
  }
  const keep = new Set(registrations.map(({ subject }) => subject));
  const places = new Set(
    consumers.map(({ manifestSlug, topicPrefix }) => JSON.stringify([manifestSlug, topicPrefix])),
  );
  for (const place of places) {
    const [manifestSlug, topicPrefix] = JSON.parse(place) as [string, string];
    const names = new Set(registrations.map(({ name }) => name));
    await takeBackUsages(registry, { manifestSlug, topicPrefix, keep, names });
  }
  return registrations;
}

/** The Avro of a public schema that a manifest at hand describes. Throws SCHEMA_NOT_MAPPABLE and the like. */
export function contractOf({ manifestSlug, schema, keyFields }: ResolvedPublicSchema): Contract {
  return avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields });
}
