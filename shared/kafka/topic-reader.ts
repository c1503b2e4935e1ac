/** A consumer group that has to do with a topic. */
export interface TopicReader {
  readonly topic: string;
  readonly group: string;
  /** As Kafka calls it: Stable, Empty, PreparingRebalance, … */
  readonly state: string;
  /** Members that are subscribed to the topic. */
  readonly members: number;
  /**
   * Whether it still reads: members are subscribed, or there is nobody now and what was committed would go on. A
   * group whose members all read other topics has moved on.
   */
  readonly reads: boolean;
  /** Records after the committed offsets; null where nothing is committed. */
  readonly lag: number | null;
  /** When it committed last, ISO 8601: told by our own sinks only, Kafka does not say. */
  readonly lastCommit: string | null;
}

/** A reader in words: `group "x" (Stable, 2 members, 17 records behind, last commit …)`. */
export function describeReader({ group, state, members, lag, lastCommit }: TopicReader): string {
  const parts = [
    state,
    members === 0 ? "no members" : `${members} member${members === 1 ? "" : "s"}`,
    lag === null ? "nothing committed" : `${lag} record${lag === 1 ? "" : "s"} behind`,
    ...(lastCommit === null ? [] : [`last commit ${lastCommit}`]),
  ];
  return `group "${group}" (${parts.join(", ")})`;
}
