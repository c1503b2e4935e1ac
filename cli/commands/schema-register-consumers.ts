import type { Command } from "commander";
import { consumerSubject } from "../../shared/contracts/consumers/usage-schema.ts";
import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import { consumerSchemaPlace } from "../../shared/manifest/schema-place.ts";
import { checkWorkspace, kafkaEventStore } from "../../shared/manifest/workspace.ts";
import { takeBackUsages } from "../../shared/registry/published-usages.ts";
import { type KnownConsumer, registerConsumers } from "../../shared/registry/register-consumers.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import {
  checkOwnConsumers,
  contractFor,
  type OwnConsumer,
  ownConsumers,
} from "../consumers/own-consumers.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { formatDiagnostic, table } from "../report.ts";
import { registryOf } from "../schema/history.ts";
import { loadSchemaManifests } from "../schema/own-schemas.ts";
import { loadSurroundings } from "../workspace-file.ts";

interface RegisterConsumersFlags extends JsonFlag {
  manifest?: string;
  prune?: boolean;
}

/** One consumer schema, or an entry that was taken back. */
interface ConsumerOutcome {
  readonly outcome: "published" | "unchanged" | "taken back";
  readonly subject: string;
}

/** `schema register-consumers`: tells the registry what consumer schemas use, where sinks may not. */
export function addSchemaRegisterConsumers(parent: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(parent.command("register-consumers")))
    .description(
      "tell the registry which fields the consumer schemas use, so that the publisher's check knows whom a change breaks",
    )
    .option("--prune", "take back what consumer schemas said that the manifest no longer has")
    .action(async (flags: RegisterConsumersFlags) => run(flags, context));
  withExamples(command, "schema register-consumers --prune");
}

async function run(flags: RegisterConsumersFlags, context: CliContext): Promise<void> {
  const file = await findManifest(flags.manifest);
  const manifests = await loadSchemaManifests(file);
  const { target, others } = await loadSurroundings(file);
  const workspace = [target, ...others];
  const { publicSchemas } = await checkWorkspace(workspace);
  const consumers = ownConsumers(manifests, workspace, publicSchemas, context.env);
  const found = await checkOwnConsumers(consumers);
  const ready: { registry: SchemaRegistry; known: KnownConsumer }[] = [];
  for (const consumer of consumers) {
    const contract = await contractFor(consumer);
    if (contract === undefined) found.push(notRegisteredYet(consumer));
    else ready.push({ registry: consumer.registry, known: knownConsumer(consumer, contract) });
  }
  for (const each of found) context.warn(formatDiagnostic(each));
  if (found.some(({ severity }) => severity === "error")) throw new Exit(1);

  const outcomes: ConsumerOutcome[] = [];
  for (const registry of new Set(ready.map((each) => each.registry))) {
    const known = ready.filter((each) => each.registry === registry).map((each) => each.known);
    outcomes.push(...(await registerConsumers(registry, known)));
  }
  if (flags.prune === true) {
    const keep = new Set([...outcomes.map(({ subject }) => subject), ...waiting(consumers)]);
    for (const loaded of manifests) outcomes.push(...(await prune(loaded, consumers, keep, context)));
  }
  const listed = outcomes.map(({ outcome, subject }) => ({ outcome, subject }));
  const text = () =>
    listed.length === 0 ? "no consumer schemas" : table(listed.map((o) => [o.outcome, o.subject]));
  printResult(context, flags, { consumers: listed }, text);
}

function knownConsumer(
  { loaded, consumerSchema, group, topicPrefix }: OwnConsumer,
  contract: KnownConsumer["contract"],
): KnownConsumer {
  return { manifestSlug: loaded.manifest.slug, consumerSchema, group, topicPrefix, contract };
}

function notRegisteredYet({ loaded, consumerSchema, topic }: OwnConsumer): Diagnostic {
  const place = consumerSchemaPlace(loaded, consumerSchema);
  const detail = `"${consumerSchema.name}": the registry has no schema of ${topic} yet`;
  const hint = "Run it again once the publisher has registered the schema; a sink does so by itself.";
  return diagnostic("CONSUMER_NOT_REGISTERED", "warning", place, detail, hint);
}

/** Subjects of consumer schemas whose public schema is not registered (any more): they are not gone. */
function waiting(consumers: readonly OwnConsumer[]): string[] {
  return consumers.map(({ loaded, consumerSchema, topicPrefix, group }) => {
    const { name, sourceManifestSlug, publicSchema } = consumerSchema;
    const reads = { manifestSlug: sourceManifestSlug, ...publicSchema };
    const usage = { manifestSlug: loaded.manifest.slug, name, group, reads, uses: [], fields: [] };
    return consumerSubject({ usage, topicPrefix });
  });
}

/** A manifest whose last consumer schema is gone still has an event store of its own to look in. */
async function prune(
  loaded: LoadedManifest,
  consumers: readonly OwnConsumer[],
  keep: ReadonlySet<string>,
  { env }: CliContext,
): Promise<ConsumerOutcome[]> {
  const manifestSlug = loaded.manifest.slug;
  const own = consumers.filter((consumer) => consumer.loaded === loaded);
  const places = own.map(({ registry, topicPrefix }) => ({ registry, topicPrefix }));
  const store = kafkaEventStore(loaded.manifest);
  if (places.length === 0 && store !== undefined)
    places.push({ registry: registryOf(loaded, env), topicPrefix: store.topicPrefix ?? "" });
  const taken = new Set<string>();
  for (const { registry, topicPrefix } of places) {
    for (const subject of await takeBackUsages(registry, { manifestSlug, topicPrefix, keep }))
      taken.add(subject);
  }
  return [...taken].map((subject) => ({ outcome: "taken back", subject }));
}
