import type { AvroRecord } from "../contracts/avro-types.ts";
import {
  type Deprecation,
  deprecationOf,
  isSameDeprecation,
  withDeprecation,
} from "../contracts/deprecation.ts";
import { subjects } from "../kafka/naming.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

/**
 * Brings what the registry says of a topic's deprecation in line with the manifest: when it differs, the schema of
 * the value is registered once more with another attribute. That is the latest version then, compatible with all
 * others, and no record is written with it: ids of records do not change. False when nothing was to be done.
 * Throws REGISTRY_*.
 */
export async function publishDeprecation(
  registry: SchemaRegistry,
  { topic, value, deprecated }: { topic: string; value: AvroRecord; deprecated: Deprecation | undefined },
  now: Date = new Date(),
): Promise<boolean> {
  const subject = subjects(topic).value;
  const latest = await registry.latest(subject);
  if (latest === undefined || isSameDeprecation(deprecationOf(latest), deprecated)) return false;
  const schema = withDeprecation(value, deprecated, now);
  await registry.ensure(subject, schema, { compatibility: "FULL_TRANSITIVE" });
  return true;
}
