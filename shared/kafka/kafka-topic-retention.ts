// Node finds no export of this name in the CommonJS module.
import kafkajs, { type Admin } from "kafkajs";

const POLICY = "cleanup.policy";

/**
 * The topics out of which brokers delete events by age or size. A record's timestamp is the commit time at the source:
 * what a backfill or a late start publishes can be old enough to go at once. Empty where configurations may not be read.
 */
export async function topicsWithRetention(admin: Admin, topics: readonly string[]): Promise<string[]> {
  const resources = topics.map((name) => ({
    type: kafkajs.ConfigResourceTypes.TOPIC,
    name,
    configNames: [POLICY],
  }));
  try {
    const answer = await admin.describeConfigs({ resources, includeSynonyms: false });
    const deletes = ({ configEntries }: (typeof answer.resources)[number]) =>
      configEntries.some(
        ({ configName, configValue }) => configName === POLICY && /delete/.test(configValue),
      );
    return answer.resources.filter(deletes).map(({ resourceName }) => resourceName);
  } catch {
    // Advice only: a principal without DESCRIBE_CONFIGS works as well.
    return [];
  }
}
