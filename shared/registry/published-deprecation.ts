import type { AvroRecord } from "../contracts/avro-types.ts";
import {
  type Deprecation,
  deprecationOf,
  isSameDeprecation,
  withDeprecation,
} from "../contracts/deprecation.ts";
import { subjects } from "../kafka/naming.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

/** What a manifest says of a topic's end. */
export interface DeprecationToPublish {
  readonly topic: string;
  readonly value: AvroRecord;
  readonly deprecated: Deprecation | undefined;
  /**
   * Whether a manifest that says nothing takes a deprecation back. Not for connectors: one that is restarted with the
   * manifest of last week must not undo what was decided since.
   */
  readonly withdraw: boolean;
}

/**
 * Brings what the registry says of a topic's deprecation in line with the manifest: when it differs, the schema of
 * the value is registered once more with another attribute. That is the latest version then, compatible with all
 * others, and no record is written with it: ids of records do not change. False when nothing was to be done.
 * Throws REGISTRY_*.
 */
export async function publishDeprecation(
  registry: SchemaRegistry,
  { topic, value, deprecated, withdraw }: DeprecationToPublish,
  now: Date = new Date(),
): Promise<boolean> {
  if (deprecated === undefined && !withdraw) return false;
  const subject = subjects(topic).value;
  const latest = await registry.latest(subject);
  if (latest === undefined || isSameDeprecation(deprecationOf(latest), deprecated)) return false;
  const schema = withDeprecation(value, deprecated, now);
  await registry.ensure(subject, schema, { compatibility: "FULL_TRANSITIVE" });
  return true;
}
