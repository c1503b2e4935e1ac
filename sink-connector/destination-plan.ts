import { avroSchemasOf } from "../shared/contracts/avro-schema.ts";
import { consumerGroup, subjects } from "../shared/kafka/naming.ts";
import type { ResolvedConsumer, ResolvedDestination } from "../shared/manifest/workspace.ts";
import { parseTemplate } from "../shared/postgres/sql/template.ts";
import type { SchemaRegistry } from "../shared/registry/schema-registry.ts";
import type { ConsumerPolicy } from "./applier/applier.ts";
import type { StatementParameters } from "./applier/postgres-parameters.ts";
import { checkStatementKind, type SinkStatement } from "./applier/statements.ts";
import { checkPlaceholders } from "./decoder/binding.ts";
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
 * Throws SQL_* for statements that are none, SINK_SQL_NOT_SUPPORTED, SINK_PLACEHOLDER_UNKNOWN.
 */
export async function planDestination(destination: ResolvedDestination): Promise<DestinationPlan> {
  const { manifestSlug, dataStoreSlug, eventStore } = destination;
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
      checkAgainstSchema(statement, consumer);
      consumerOfStatement.push(index);
      return statements.push(statement) - 1;
    };
    consumers.push({ name: consumerName, onError: config.onError ?? "stop" });
    routes.push({
      topic: consumer.topic,
      sql: await add("sql", config.sql),
      deleteSql: config.deleteSql === undefined ? undefined : await add("deleteSql", config.deleteSql),
      ignoresDeletes: config.deletes === "ignore",
    });
  }
  return {
    group: consumerGroup(eventStore.topicPrefix ?? "", manifestSlug, dataStoreSlug),
    consumers,
    statements,
    consumerOfStatement,
    topics: [...new Set(routes.map((route) => route.topic))],
    routes: (parameters) => routesByTopic(routes, parameters),
  };
}

/**
 * Checks the consumer schemas whose public schema no manifest at hand describes, against what the registry has.
 * Topics whose schemas are not registered yet are passed over. Throws SINK_PLACEHOLDER_UNKNOWN, REGISTRY_*.
 */
export async function checkAgainstRegistry(
  destination: ResolvedDestination,
  plan: DestinationPlan,
  registry: SchemaRegistry,
): Promise<void> {
  for (const [i, statement] of plan.statements.entries()) {
    const consumer = destination.consumers[plan.consumerOfStatement[i] ?? 0];
    if (consumer === undefined || consumer.publicSchema !== undefined) continue;
    const { key, value } = subjects(consumer.topic);
    const schema = await registry.latest(statement.purpose === "sql" ? value : key);
    if (schema !== undefined) checkPlaceholders(statement.template.names, schema, statement);
  }
}

/** A public schema of the workspace says at once whether a placeholder is misspelt. */
function checkAgainstSchema(statement: SinkStatement, { publicSchema }: ResolvedConsumer): void {
  if (publicSchema === undefined) return;
  const { manifestSlug, schema, keyFields } = publicSchema;
  const avro = avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields });
  checkPlaceholders(statement.template.names, statement.purpose === "sql" ? avro.value : avro.key, statement);
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
