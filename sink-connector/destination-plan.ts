import { avroSchemasOf } from "../shared/contracts/avro-schema.ts";
import { unansweredDeletes, unknownPlaceholders } from "../shared/contracts/consumers/consumer-statements.ts";
import { recordOf } from "../shared/contracts/consumers/consumer-usage.ts";
import type { Contract } from "../shared/contracts/evolution/schema-change.ts";
import { RejotError } from "../shared/errors/error.ts";
import { consumerGroup, deadLetterTopic, isTopicName } from "../shared/kafka/naming.ts";
import { type Diagnostic, diagnosticOfError, throwOnErrors } from "../shared/manifest/diagnostic.ts";
import type { ResolvedDestination } from "../shared/manifest/workspace.ts";
import { LETTERS_HINT } from "../shared/manifest/workspace-check.ts";
import { parseTemplate } from "../shared/postgres/sql/template.ts";
import { latestContract } from "../shared/registry/published-usages.ts";
import type { SchemaRegistry } from "../shared/registry/schema-registry.ts";
import type { ConsumerPolicy } from "./applier/applier.ts";
import type { StatementParameters } from "./applier/postgres-parameters.ts";
import { checkStatementKind, type SinkStatement } from "./applier/statements.ts";
import type { TopicConsumer } from "./decoder/event-decoder.ts";

/** What a destination's consumer schemas come to, before any server is asked. */
export interface DestinationPlan {
  readonly group: string;
  readonly consumers: readonly ConsumerPolicy[];
  readonly statements: readonly SinkStatement[];
  /** The consumer schema of each statement. */
  readonly consumerOfStatement: readonly number[];
  /** The topics that are read. */
  readonly topics: readonly string[];
  /** What is done with each topic's events, in the order of the manifest, once the destination has typed it. */
  routes(parameters: readonly StatementParameters[]): Map<string, TopicConsumer[]>;
}

interface Route {
  readonly topic: string;
  readonly sql: number;
  readonly deleteSql: number | undefined;
  readonly ignoresDeletes: boolean;
}

/**
 * Reads the consumer schemas of a destination.
 * Throws SQL_* for statements that are none, SINK_SQL_NOT_SUPPORTED, SQL_PLACEHOLDER_UNKNOWN,
 * DELETE_SQL_MISSING, TOPIC_NAME_INVALID: what `collect --check` finds, in the same words.
 */
export async function planDestination(destination: ResolvedDestination): Promise<DestinationPlan> {
  const { manifestSlug, dataStoreSlug, eventStore } = destination;
  const group = consumerGroup(eventStore.topicPrefix ?? "", manifestSlug, dataStoreSlug);
  const consumers: ConsumerPolicy[] = [];
  const statements: SinkStatement[] = [];
  const consumerOfStatement: number[] = [];
  const routes: Route[] = [];
  for (const [index, consumer] of destination.consumers.entries()) {
    const { config, name } = consumer.consumerSchema;
    const consumerName = `${manifestSlug}/${name}`;
    const add = async (purpose: "sql" | "deleteSql", sql: string): Promise<number> => {
      const statement = { consumerName, purpose, template: await parseTemplate(sql) };
      checkStatementKind(statement);
      consumerOfStatement.push(index);
      return statements.push(statement) - 1;
    };
    const letters = deadLetterTopic(consumer.topic, group);
    if (config.onError === "dlq" && !isTopicName(letters)) {
      const detail = `dead letters of ${consumerName} would go to ${letters}`;
      throw new RejotError("TOPIC_NAME_INVALID", { detail, hint: LETTERS_HINT });
    }
    consumers.push({ name: consumerName, topic: consumer.topic, onError: config.onError ?? "stop" });
    routes.push({
      topic: consumer.topic,
      sql: await add("sql", config.sql),
      deleteSql: config.deleteSql === undefined ? undefined : await add("deleteSql", config.deleteSql),
      ignoresDeletes: config.deletes === "ignore",
    });
  }
  throwOnErrors(checkAgainstWorkspace(destination, statements, consumerOfStatement));
  return {
    group,
    consumers,
    statements,
    consumerOfStatement,
    topics: [...new Set(routes.map((route) => route.topic))],
    routes: (parameters) => routesByTopic(routes, parameters),
  };
}

/** The schemas of each topic as the registry has them last; topics that are not registered yet are missing. */
export type RegisteredContracts = ReadonlyMap<string, Contract>;

/** Asks the registry for the topics' schemas. Throws REGISTRY_*. */
export async function registeredContracts(
  topics: readonly string[],
  registry: SchemaRegistry,
): Promise<RegisteredContracts> {
  const contracts = new Map<string, Contract>();
  for (const topic of topics) {
    const contract = await latestContract(registry, topic);
    if (contract !== undefined) contracts.set(topic, contract);
  }
  return contracts;
}

/**
 * Compares the placeholders with what the registry has. Errors for public schemas that no manifest at hand
 * describes; warnings for those of the workspace, whose source may not have been deployed yet.
 */
export function checkAgainstRegistry(
  destination: ResolvedDestination,
  { statements, consumerOfStatement }: Pick<DestinationPlan, "statements" | "consumerOfStatement">,
  contracts: RegisteredContracts,
): Diagnostic[] {
  return statements.flatMap((statement, i) => {
    const consumer = destination.consumers[consumerOfStatement[i] ?? 0];
    const contract = consumer === undefined ? undefined : contracts.get(consumer.topic);
    if (consumer === undefined || contract === undefined) return [];
    const severity = consumer.publicSchema === undefined ? "error" : "warning";
    const where = `${consumer.topic} in the registry`;
    return unknown(statement, contract).map((d) => ({ ...d, severity, location: `${d.location}, ${where}` }));
  });
}

function checkAgainstWorkspace(
  { consumers }: ResolvedDestination,
  statements: readonly SinkStatement[],
  consumerOfStatement: readonly number[],
): Diagnostic[] {
  return consumers.flatMap(({ publicSchema, consumerSchema }, index) => {
    if (publicSchema === undefined) return [];
    const { manifestSlug, schema, keyFields } = publicSchema;
    const contract = avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields });
    const own = statements.filter((_, i) => consumerOfStatement[i] === index);
    const deletes = unansweredDeletes(consumerSchema, schema);
    return [
      ...own.flatMap((statement) => unknown(statement, contract)),
      ...(deletes === undefined ? [] : [diagnosticOfError(deletes, own[0]?.consumerName ?? "")]),
    ];
  });
}

function unknown({ consumerName, purpose, template }: SinkStatement, contract: Contract): Diagnostic[] {
  const fields = recordOf(contract, purpose).fields.map((field) => field.name);
  return unknownPlaceholders(template, fields).map((error) =>
    diagnosticOfError(error, `${purpose} of ${consumerName}`),
  );
}

function routesByTopic(
  routes: readonly Route[],
  parameters: readonly StatementParameters[],
): Map<string, TopicConsumer[]> {
  const bindable = (statement: number) => ({
    statement,
    placeholders: parameters[statement]?.shape.names ?? [],
    types: parameters[statement]?.types ?? [],
  });
  const byTopic = new Map<string, TopicConsumer[]>();
  for (const [consumer, { topic, sql, deleteSql, ignoresDeletes }] of routes.entries()) {
    const ofTopic = byTopic.get(topic) ?? [];
    ofTopic.push({
      consumer,
      sql: bindable(sql),
      deleteSql: deleteSql === undefined ? undefined : bindable(deleteSql),
      ignoresDeletes,
    });
    byTopic.set(topic, ofTopic);
  }
  return byTopic;
}
