import { describeError, RejotError } from "../errors/error.ts";
import { ERRORS } from "../errors/table.ts";
import { createReadPort, type ReadableStore } from "../http/read/kafka-read.ts";
import { createHttpService } from "../http/server.ts";
import type { ConnectorStatus } from "../http/status.ts";
import { runUntilSignal, type Service } from "../lifecycle/service.ts";
import { loadManifests } from "../manifest/load.ts";
import { resolveSecrets } from "../manifest/secrets.ts";
import { kafkaEventStore, type Role, resolveWorkspace, type Workspace } from "../manifest/workspace.ts";
import { setLogLevel } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { describeSettings, readSettings, type Settings, type SettingValues } from "../settings/settings.ts";
import { listenOptions, type ProcessSettings, processSettings } from "./process-settings.ts";

/** A connector as a process runs it. */
export interface Connector extends Service {
  readonly metrics: Metrics;
  status(): ConnectorStatus;
}

/** What a process that runs one connector is made of. */
export interface ConnectorProgram<S extends Settings> {
  /** How it is called, for help. */
  readonly command: string;
  /** One sentence for help. */
  readonly summary: string;
  readonly role: Role;
  /** Start of its environment variables. */
  readonly prefix: string;
  readonly settings: S;
  readonly create: (workspace: Workspace, values: SettingValues<S>) => Connector;
}

/** What the process was started with. */
export interface Invocation {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Runs a connector with its HTTP server until a signal or an error ends it. Resolves with the exit code; never rejects. */
export async function runConnectorProgram<S extends Settings>(
  program: ConnectorProgram<S>,
  { args, env }: Invocation,
): Promise<number> {
  try {
    const settings = { ...processSettings, ...program.settings };
    const { values, positionals, help } = readSettings(settings, { prefix: program.prefix, env, args });
    if (help) {
      process.stdout.write(`${usage(program)}\n`);
      return 0;
    }
    if (positionals.length === 0)
      throw new RejotError("USAGE", { detail: `${program.command} takes at least one manifest` });
    const processValues = values as unknown as ProcessSettings;
    setLogLevel(processValues.logLevel);
    const workspace = await resolveWorkspace(await loadManifests(positionals), env, [program.role]);
    const connector = program.create(workspace, values as unknown as SettingValues<S>);
    return await runConnectors([connector], workspace, env, processValues);
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    return error instanceof RejotError ? ERRORS[error.code].exitCode : 1;
  }
}

/** Runs connectors that share a process and its HTTP server. Resolves with the exit code. */
export async function runConnectors(
  connectors: readonly Connector[],
  workspace: Workspace,
  env: Invocation["env"],
  values: ProcessSettings,
): Promise<number> {
  const http = createHttpService({
    ...listenOptions(values),
    status: () => connectors.map((connector) => connector.status()),
    metrics: connectors.map((connector) => connector.metrics),
    publicSchemas: () => workspace.publicSchemas,
    read: createReadPort(readableStores(workspace, env), { clientId: "rejot-read" }),
  });
  // The HTTP server first: what a connector waits for while it starts can be seen there.
  return runUntilSignal([http, ...connectors], { deadlineMs: values.stopDeadlineMs });
}

/** The event store of each manifest that publishes. */
function readableStores(workspace: Workspace, env: Invocation["env"]): ReadableStore[] {
  return workspace.manifests.flatMap(({ manifest }) => {
    const eventStore = kafkaEventStore(manifest);
    const publicSchemas = workspace.publicSchemas.filter((schema) => schema.manifestSlug === manifest.slug);
    if (eventStore === undefined || publicSchemas.length === 0) return [];
    return [{ eventStore: resolveSecrets(eventStore, env), publicSchemas }];
  });
}

function usage<S extends Settings>({ command, summary, prefix, settings }: ConnectorProgram<S>): string {
  return [
    `${command} [options] <manifest…>`,
    "",
    summary,
    "",
    "Options, each with the environment variable that sets it too:",
    describeSettings({ ...settings, ...processSettings }, prefix),
  ].join("\n");
}
