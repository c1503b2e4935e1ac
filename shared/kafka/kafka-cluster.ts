import type { Kafka } from "kafkajs";
import { RejotError } from "../errors/error.ts";
import { type AbortedTransaction, type FetchedMessage, hideAborted } from "./committed-records.ts";

/** What a broker answers to a fetch. */
export interface FetchResponse {
  readonly responses: readonly { readonly partitions: readonly PartitionResponse[] }[];
}

/** What a fetch brought of one partition. */
export interface PartitionResponse {
  readonly messages: FetchedMessage[];
  readonly abortedTransactions: AbortedTransaction[] | null;
}

/** kafkajs' connection to one broker. */
export interface Broker {
  fetch(request: object): Promise<FetchResponse>;
}

/** kafkajs' inner cluster object: what its consumers and producers themselves are built on. */
interface Cluster {
  findBroker(which: { nodeId: number }): Promise<Broker>;
}

/**
 * kafkajs offers reading in consumer groups only. Its cluster object, which it keeps under a symbol, does the rest:
 * connections, authentication, metadata, requests. Throws INTERNAL_ERROR when there is none.
 */
export function clusterFactory(kafka: Kafka): { symbol: symbol; create: (options: object) => unknown } {
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === "private:Kafka:createCluster",
  );
  const create = symbol === undefined ? undefined : (kafka as unknown as Record<symbol, unknown>)[symbol];
  if (symbol === undefined || typeof create !== "function") {
    throw new RejotError("INTERNAL_ERROR", { detail: "this version of kafkajs has no cluster factory" });
  }
  return { symbol, create: (options) => create(options) as unknown };
}

/**
 * The same Kafka, for consumers that see committed records only: records of aborted transactions are hidden before
 * kafkajs' own filter, which lets some through, sees them.
 */
export function withCommittedFetches(kafka: Kafka): Kafka {
  const { symbol, create } = clusterFactory(kafka);
  const value = (options: object) => hidingAborted(create(options) as Cluster);
  return Object.create(kafka, { [symbol]: { value } }) as Kafka;
}

function hidingAborted(cluster: Cluster): Cluster {
  const known = new WeakSet<Broker>();
  const findBroker = cluster.findBroker.bind(cluster);
  cluster.findBroker = async (which) => {
    const broker = await findBroker(which);
    if (!known.has(broker)) {
      known.add(broker);
      const fetch = broker.fetch.bind(broker);
      broker.fetch = async (request) => committedOnly(await fetch(request));
    }
    return broker;
  };
  return cluster;
}

function committedOnly(response: FetchResponse): FetchResponse {
  return {
    ...response,
    responses: response.responses.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((partition) => {
        const { messages, abortedTransactions } = partition;
        if (abortedTransactions === null || abortedTransactions.length === 0) return partition;
        return {
          ...partition,
          messages: hideAborted(messages, abortedTransactions),
          abortedTransactions: [],
        };
      }),
    })),
  };
}
