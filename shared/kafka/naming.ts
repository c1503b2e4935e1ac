/** `@org/x` becomes `org.x`: the part of a topic's name that stands for a manifest. */
export function manifestTopicPart(manifestSlug: string): string {
  return manifestSlug.replace(/^@/, "").replaceAll("/", ".");
}

/** The topic of one major version of a public schema: `<prefix><manifest>.<schema>.v<major>`. */
export function publicSchemaTopic(
  prefix: string,
  manifestSlug: string,
  schema: string,
  major: number,
): string {
  return `${prefix}${manifestTopicPart(manifestSlug)}.${schema}.v${major}`;
}

/** The progress topic of a data store: `<prefix><manifest>.<data-store>.progress`. */
export function progressTopic(prefix: string, manifestSlug: string, dataStore: string): string {
  return `${prefix}${manifestTopicPart(manifestSlug)}.${dataStore}.progress`;
}

/** The transactional id that fences every older publisher of the same data store. */
export function transactionalId(prefix: string, manifestSlug: string, dataStore: string): string {
  return `${prefix}rejot.source.${manifestTopicPart(manifestSlug)}.${dataStore}`;
}

/** The consumer group of a destination data store. */
export function consumerGroup(prefix: string, manifestSlug: string, dataStore: string): string {
  return `${prefix}rejot.sink.${manifestTopicPart(manifestSlug)}.${dataStore}`;
}

/** Where the events of a topic go that a consumer group could not apply. */
export function deadLetterTopic(topic: string, group: string): string {
  return `${topic}.dlq.${group}`;
}

const LEGAL_TOPIC = /^[A-Za-z0-9._-]{1,249}$/;

/** Whether Kafka takes a topic of this name. */
export function isTopicName(name: string): boolean {
  return LEGAL_TOPIC.test(name);
}

/** The registry subjects of a topic (TopicNameStrategy). */
export function subjects(topic: string): { key: string; value: string } {
  return { key: `${topic}-key`, value: `${topic}-value` };
}
