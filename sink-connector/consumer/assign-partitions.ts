import type { TopicPartition } from "../ports.ts";

/** A member of the group and the topics it reads. */
export interface GroupMember {
  readonly memberId: string;
  readonly topics: ReadonlySet<string>;
}

/**
 * Deals partitions out evenly. A partition goes only to a member that reads its topic: kafkajs' own assigner gives
 * topics also to members that do not know of them yet, which then leave them unread.
 */
export function assignPartitions(
  members: readonly GroupMember[],
  partitions: readonly TopicPartition[],
): Map<string, TopicPartition[]> {
  const dealt = new Map<string, TopicPartition[]>();
  const inOrder = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  for (const member of inOrder) dealt.set(member.memberId, []);
  for (const partition of partitions) {
    let least: TopicPartition[] | undefined;
    for (const member of inOrder) {
      const hand = dealt.get(member.memberId) as TopicPartition[];
      if (!member.topics.has(partition.topic)) continue;
      if (least === undefined || hand.length < least.length) least = hand;
    }
    least?.push(partition);
  }
  return dealt;
}
