import { AssignerProtocol, type Cluster, type PartitionAssigner } from "kafkajs";
import { assignPartitions, type GroupMember } from "./assign-partitions.ts";
import { groupByTopic } from "./group-by-topic.ts";

const { MemberMetadata, MemberAssignment } = AssignerProtocol;
const VERSION = 0;
const NO_USER_DATA = Buffer.alloc(0);

/** The group's assigner; the member that leads the group runs it. */
export const fairAssigner: PartitionAssigner = ({ cluster }: { cluster: Cluster }) => ({
  name: "RejotFairAssigner",
  version: VERSION,
  async assign({ members, topics }) {
    const readers = members.map(({ memberId, memberMetadata }): GroupMember => {
      const known = MemberMetadata.decode(memberMetadata)?.topics ?? [];
      return { memberId, topics: new Set(known) };
    });
    const partitions = topics.flatMap((topic) =>
      cluster
        .findTopicPartitionMetadata(topic)
        .map(({ partitionId }) => ({ topic, partition: partitionId }))
        .sort((a, b) => a.partition - b.partition),
    );
    return [...assignPartitions(readers, partitions)].map(([memberId, hand]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({
        version: VERSION,
        assignment: Object.fromEntries(groupByTopic(hand)),
        userData: NO_USER_DATA,
      }),
    }));
  },
  protocol({ topics }) {
    return {
      name: "RejotFairAssigner",
      metadata: MemberMetadata.encode({ version: VERSION, topics, userData: NO_USER_DATA }),
    };
  },
});
