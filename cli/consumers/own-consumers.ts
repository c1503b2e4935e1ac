import { unknownPlaceholders } from "../../shared/contracts/consumers/consumer-statements.ts";
import { consumerName, recordOf } from "../../shared/contracts/consumers/consumer-usage.ts";
import { deprecationNotice, deprecationOf } from "../../shared/contracts/deprecation.ts";
import type { Contract } from "../../shared/contracts/evolution/schema-change.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { consumerGroup, publicSchemaTopic } from "../../shared/kafka/naming.ts";
import { type Diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema } from "../../shared/manifest/schema.ts";
import { consumerSchemaPlace, consumerStatementPlace } from "../../shared/manifest/schema-place.ts";
import { type Environment, resolveSecrets } from "../../shared/manifest/secrets.ts";
import { kafkaEventStore, type ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import { latestContract } from "../../shared/registry/published-usages.ts";
import { contractOf } from "../../shared/registry/register-consumers.ts";
import { createSchemaRegistry, type SchemaRegistry } from "../../shared/registry/schema-registry.ts";

/** A consumer schema of a manifest, and where its events are. */
export interface OwnConsumer {
  readonly loaded: LoadedManifest;
  readonly consumerSchema: ConsumerSchema;
  /** Where the workspace has it. */
  readonly publicSchema: ResolvedPublicSchema | undefined;
  readonly topic: string;
  readonly topicPrefix: string;
  readonly group: string;
  /** Of the event store that the topic is in. */
  readonly registry: SchemaRegistry;
}

/**
 * The consumer schemas of the manifests. Only the registry's secrets are looked up: the check needs no Kafka.
 * Throws EVENT_STORE_MISSING, SECRET_NOT_FOUND, REGISTRY_REFUSED.
 */
export function ownConsumers(
  manifests: readonly LoadedManifest[],
  workspace: readonly LoadedManifest[],
  publicSchemas: readonly ResolvedPublicSchema[],
  env: Environment,
): OwnConsumer[] {
  const registries = new Map<string, SchemaRegistry>();
  return manifests.flatMap((loaded) =>
    (loaded.manifest.consumerSchemas ?? []).map((consumerSchema) => {
      const { sourceManifestSlug, publicSchema: wanted, config } = consumerSchema;
      const publisher = workspace.find(({ manifest }) => manifest.slug === sourceManifestSlug)?.manifest;
      const store =
        (publisher === undefined ? undefined : kafkaEventStore(publisher)) ??
        kafkaEventStore(loaded.manifest);
      if (store === undefined)
        throw new RejotError("EVENT_STORE_MISSING", { detail: `"${loaded.manifest.slug}"` });
      const topicPrefix = store.topicPrefix ?? "";
      const { url, auth } = resolveSecrets(store.schemaRegistry, env);
      const id = JSON.stringify([url, auth]);
      const registry =
        registries.get(id) ?? createSchemaRegistry(auth === undefined ? { url } : { url, auth });
      registries.set(id, registry);
      const topic = publicSchemaTopic(topicPrefix, sourceManifestSlug, wanted.name, wanted.majorVersion);
      return {
        loaded,
        consumerSchema,
        publicSchema: publicSchemas.find((p) => p.topic === topic && p.manifestSlug === sourceManifestSlug),
        topic,
        topicPrefix,
        group: consumerGroup(topicPrefix, loaded.manifest.slug, config.destinationDataStoreSlug),
        registry,
      };
    }),
  );
}

/** The version that a consumer schema is to be checked with: the registry's latest, else the workspace's own. */
export async function contractFor({
  registry,
  topic,
  publicSchema,
}: OwnConsumer): Promise<Contract | undefined> {
  const registered = await latestContract(registry, topic);
  return registered ?? (publicSchema === undefined ? undefined : contractOf(publicSchema));
}

/**
 * What the registry says against consumer schemas: fields that are not there, which a sink would refuse in the same
 * words, and deprecated versions. For those whose public schema is in the workspace, fields are `collect --check`'s
 * business; the registry may not have the version yet. Throws REGISTRY_*.
 */
export async function checkOwnConsumers(consumers: readonly OwnConsumer[]): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  for (const consumer of consumers) {
    const contract = await latestContract(consumer.registry, consumer.topic);
    diagnostics.push(...deprecated(consumer, contract));
    if (contract !== undefined && consumer.publicSchema === undefined)
      diagnostics.push(...(await misfits(consumer, contract)));
  }
  return diagnostics;
}

function deprecated(
  { loaded, consumerSchema, publicSchema }: OwnConsumer,
  contract: Contract | undefined,
): Diagnostic[] {
  const said = contract === undefined ? publicSchema?.schema.deprecated : deprecationOf(contract.value);
  if (said === undefined) return [];
  const name = consumerName({ manifestSlug: loaded.manifest.slug, name: consumerSchema.name });
  const notice = deprecationNotice(said, consumerSchema, name);
  const found = diagnosticOfError(notice, consumerSchemaPlace(loaded, consumerSchema));
  return [{ ...found, severity: "warning" }];
}

async function misfits({ loaded, consumerSchema }: OwnConsumer, contract: Contract): Promise<Diagnostic[]> {
  const errors: { statement: "sql" | "deleteSql"; error: unknown }[] = [];
  for (const statement of ["sql", "deleteSql"] as const) {
    const sql = consumerSchema.config[statement];
    if (sql === undefined) continue;
    try {
      const fields = recordOf(contract, statement).fields.map((field) => field.name);
      const found = unknownPlaceholders(await parseTemplate(sql), fields);
      errors.push(...found.map((error) => ({ statement, error })));
    } catch (error) {
      errors.push({ statement, error });
    }
  }
  return errors.map(({ statement, error }) =>
    diagnosticOfError(error, consumerStatementPlace(loaded, consumerSchema, statement, error)),
  );
}
