import { type Command, Option } from "commander";
import { z } from "zod";
import { RejotError } from "../../shared/errors/error.ts";
import { loadManifests } from "../../shared/manifest/load.ts";
import { type Role, resolveWorkspace, type Workspace } from "../../shared/manifest/workspace.ts";
import { type ProcessSettings, processSettings } from "../../shared/process/process-settings.ts";
import type { Connector } from "../../shared/process/run-connectors.ts";
import { readSettings } from "../../shared/settings/settings.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { addJsonOption, type JsonFlag } from "../output.ts";

const PREFIX = "REJOT_SYNC";

type SyncFlags = Record<string, string> & { only?: Role };

/** `manifest sync`: source and sink of the manifests in one process, until a signal ends it. */
export function addManifestSync(parent: Command, context: CliContext): void {
  const command = addJsonOption(parent.command("sync"))
    .argument("<manifests...>", "manifest files, or folders that hold one")
    .description(
      "run the manifests: publish their public schemas and apply their consumer schemas, in one process. " +
        "REJOT_SOURCE_* and REJOT_SINK_* variables set what the connectors take (docs/settings.md)",
    )
    .addOption(
      new Option("--only <side>", "run one side only, to scale and restart them apart").choices([
        "source",
        "sink",
      ]),
    );
  for (const [name, setting] of Object.entries(processSettings)) {
    const fallback = setting.default === undefined ? "" : ` (default: ${setting.default})`;
    const option = new Option(
      `--${kebab(name)} <${VALUE_NAMES[name] ?? "value"}>`,
      `${setting.description}${fallback}`,
    );
    command.addOption(
      setting.schema instanceof z.ZodEnum ? option.choices(enumValues(setting.schema)) : option,
    );
  }
  command.action(async (manifests: string[], { only, json, ...flags }: SyncFlags & JsonFlag) => {
    const args = Object.entries(flags).map(([name, value]) => `--${kebab(name)}=${value}`);
    const { values } = readSettings(processSettings, { prefix: PREFIX, env: context.env, args });
    const roles: Role[] = only === undefined ? ["source", "sink"] : [only];
    const exitCode = await sync(manifests, { roles, values, json: json === true }, context);
    if (exitCode !== 0) throw new Exit(exitCode);
  });
  withExamples(
    command,
    "manifest sync ./rejot-manifest.json",
    "manifest sync accounts shop --only source --api-port 3001",
  );
}

/** What help and completion call the values; others are called "value". */
const VALUE_NAMES: Readonly<Record<string, string>> = {
  hostname: "host",
  apiPort: "port",
  apiToken: "token",
  tlsCert: "file",
  tlsKey: "file",
  logLevel: "level",
  stopDeadlineMs: "ms",
};

function enumValues(schema: z.ZodEnum): string[] {
  return schema.options.map(String);
}

interface SyncOptions {
  readonly roles: readonly Role[];
  readonly values: ProcessSettings;
  /** Whether what will run is printed as JSON, else it is said on stderr. */
  readonly json: boolean;
}

async function sync(
  paths: readonly string[],
  { roles, values, json }: SyncOptions,
  context: CliContext,
): Promise<number> {
  const workspace = await resolveWorkspace(await loadManifests(paths), context.env, roles);
  if (workspace.sources.length === 0 && workspace.destinations.length === 0) {
    throw new RejotError("NOTHING_TO_SYNC", { detail: paths.join(", ") });
  }
  // The connectors bring the Kafka and Postgres clients, which no other command waits for.
  const { setLogLevel } = await import("../../shared/observability/logger.ts");
  const { runConnectors } = await import("../../shared/process/run-connectors.ts");
  setLogLevel(values.logLevel);
  if (json) context.print(JSON.stringify(syncJson(workspace), null, 2));
  else context.warn(describeSync(workspace));
  return runConnectors(await connectorsOf(workspace, context), workspace, context.env, values);
}

/** A manifest that only publishes needs no sink, one that only consumes no source. */
async function connectorsOf(workspace: Workspace, { env }: CliContext): Promise<Connector[]> {
  const connectors: Connector[] = [];
  if (workspace.sources.length > 0) {
    const { createSource } = await import("../../source-connector/connector.ts");
    const { SOURCE_PREFIX: prefix, sourceSettings } = await import("../../source-connector/config.ts");
    const config = readSettings(sourceSettings, { prefix, env, args: [] }).values;
    connectors.push(createSource({ workspace, config }));
  }
  if (workspace.destinations.length > 0) {
    const { createSink } = await import("../../sink-connector/connector.ts");
    const { SINK_PREFIX: prefix, sinkSettings } = await import("../../sink-connector/config.ts");
    const config = readSettings(sinkSettings, { prefix, env, args: [] }).values;
    connectors.push(createSink({ workspace, config }));
  }
  return connectors;
}

function describeSync({ sources, destinations }: Workspace): string {
  return [
    ...sources.map((s) => `${s.manifestSlug}: publishes ${s.dataStoreSlug} to ${topics(s.publicSchemas)}`),
    ...destinations.map((d) => `${d.manifestSlug}: applies ${topics(d.consumers)} to ${d.dataStoreSlug}`),
  ].join("\n");
}

function syncJson({ sources, destinations }: Workspace): object {
  const named = (of: { manifestSlug: string; dataStoreSlug: string }, all: readonly { topic: string }[]) => ({
    manifest: of.manifestSlug,
    dataStore: of.dataStoreSlug,
    topics: [...new Set(all.map((each) => each.topic))],
  });
  return {
    publishes: sources.map((source) => named(source, source.publicSchemas)),
    applies: destinations.map((destination) => named(destination, destination.consumers)),
  };
}

function topics(of: readonly { readonly topic: string }[]): string {
  return [...new Set(of.map((each) => each.topic))].join(", ");
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
