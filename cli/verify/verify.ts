import { tmpdir } from "node:os";
import { RejotError } from "../../shared/errors/error.ts";
import { ERRORS } from "../../shared/errors/table.ts";
import { backfillName } from "../../shared/kafka/backfill-record.ts";
import { createKafka } from "../../shared/kafka/kafka-client.ts";
import { createKafkaReader } from "../../shared/kafka/kafka-reader.ts";
import { consumerGroup, progressTopic } from "../../shared/kafka/naming.ts";
import type {
  ResolvedConsumer,
  ResolvedDestination,
  ResolvedPublicSchema,
  ResolvedSource,
  Workspace,
} from "../../shared/manifest/workspace.ts";
import { createLogger } from "../../shared/observability/logger.ts";
import { isSameDatabase } from "../../shared/postgres/servers.ts";
import { createSchemaRegistry, type SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import type { SourceConfig } from "../../source-connector/config.ts";
import { ProgressWatcher } from "../../source-connector/progress/kafka-progress.ts";
import { requireSameHistory } from "../../source-connector/setup/starting-point.ts";
import { DestinationAudit } from "./destination-audit.ts";
import { newReport, type PairReport } from "./pair-report.ts";
import { PostgresDestinationCheck } from "./postgres-destination-check.ts";
import { RecentlyAway } from "./recently-away.ts";
import type { SchemaRows } from "./schema-rows.ts";
import { SinkWatch } from "./sink-watch.ts";
import { type AuditSettings, SourceAudit } from "./source-audit.ts";
import { SourceRows } from "./source-rows.ts";

/** What is compared, and how. */
export interface VerifyOptions extends Omit<AuditSettings, "registry" | "workDir"> {
  readonly workspace: Workspace;
  readonly config: SourceConfig;
  /** Whether a public schema is to be looked at, also one that only consumer schemas tell of. */
  readonly wants: (name: string, major: number) => boolean;
  /** Default: the system's directory for temporary files. */
  readonly workDir: string | undefined;
  /** Told of each comparison as soon as it is over. */
  readonly onReport: (report: PairReport) => void;
}

/**
 * Compares, one after the other, all that is wanted. What fails is a report with an error: one server that is away does
 * not keep the others from being looked at. Gives the reports, and the exit code of the first that failed. Throws the
 * signal's reason: what was compared until then is not the answer.
 */
export async function verify(
  options: VerifyOptions,
): Promise<{ readonly reports: readonly PairReport[]; readonly failure: number }> {
  const reports: PairReport[] = [];
  let failure = 0;
  const done = (report: PairReport, error?: unknown): void => {
    options.signal.throwIfAborted();
    if (error !== undefined) {
      report.error = errorOf(error);
      if (failure === 0) failure = ERRORS[report.error.code].exitCode;
    }
    reports.push(report as PairReport);
    options.onReport(report);
  };
  const { workspace, wants } = options;
  const away = new RecentlyAway();
  for (const source of workspace.sources) {
    const publicSchemas = source.publicSchemas.filter(({ schema }) =>
      wants(schema.name, schema.version.major),
    );
    if (publicSchemas.length > 0) await verifySource({ ...source, publicSchemas }, options, away, done);
  }
  for (const destination of workspace.destinations) {
    const consumers = destination.consumers.filter(({ consumerSchema: { publicSchema } }) =>
      wants(publicSchema.name, publicSchema.majorVersion),
    );
    if (consumers.length > 0) await verifyDestination(destination, consumers, options, away, done);
  }
  options.signal.throwIfAborted();
  return { reports, failure };
}

type Done = (report: PairReport, error?: unknown) => void;

async function verifySource(
  source: ResolvedSource,
  options: VerifyOptions,
  away: RecentlyAway,
  done: Done,
): Promise<void> {
  const { config, signal, timeoutMs, workDir = tmpdir(), ...settings } = options;
  await using cleanup = new AsyncDisposableStack();
  const { topicPrefix = "" } = source.eventStore;
  const registry = registryOf(source.eventStore);
  let left = source.publicSchemas;
  try {
    const rows = cleanup.use(await SourceRows.open({ source, config, registry, timeoutMs, signal }));
    const prepared = await prepare(rows, left, done);
    left = prepared.map(({ publicSchema }) => publicSchema);
    if (left.length === 0) return;
    const kafka = createKafka(source.eventStore, {
      clientId: "rejot-verify",
      logger: createLogger("verify"),
    });
    const reader = createKafkaReader(kafka);
    cleanup.defer(() => reader.close());
    const topic = progressTopic(topicPrefix, source.manifestSlug, source.dataStoreSlug);
    const start = () => ProgressWatcher.start(kafka, topic, signal);
    const progress = await away.ask(source.eventStore, start);
    cleanup.defer(() => progress.stop());
    // LSNs of another cluster, or of another line of its history, mean nothing.
    requireSameHistory({ progress: progress.progress, ...(await rows.identity()) });
    const patience = {};
    for (const { publicSchema, schemaRows } of prepared) {
      left = left.slice(1);
      const more = { registry, workDir, timeoutMs, signal, patience };
      const audit = new SourceAudit({
        ...settings,
        ...more,
        publicSchema,
        schemaRows,
        rows,
        progress,
        reader,
      });
      await away
        .ask(source.eventStore, () => audit.run())
        .then(
          () => done(audit.report),
          (error: unknown) => done(audit.report, error),
        );
    }
  } catch (error) {
    signal.throwIfAborted();
    for (const publicSchema of left) done(newReport(aboutSource(publicSchema)), error);
  }
}

/** The public schemas whose rows can be read; of the others it is said at once why not. */
async function prepare(rows: SourceRows, publicSchemas: readonly ResolvedPublicSchema[], done: Done) {
  const prepared: { publicSchema: ResolvedPublicSchema; schemaRows: SchemaRows }[] = [];
  for (const publicSchema of publicSchemas) {
    await rows.schema(publicSchema).then(
      (schemaRows) => void prepared.push({ publicSchema, schemaRows }),
      (error: unknown) => done(newReport(aboutSource(publicSchema)), error),
    );
  }
  return prepared;
}

async function verifyDestination(
  destination: ResolvedDestination,
  consumers: readonly ResolvedConsumer[],
  options: VerifyOptions,
  away: RecentlyAway,
  done: Done,
): Promise<void> {
  const { workDir = tmpdir(), config: _config, ...settings } = options;
  const { eventStore, manifestSlug, dataStoreSlug } = destination;
  await using cleanup = new AsyncDisposableStack();
  const left = [...consumers];
  try {
    const registry = registryOf(eventStore);
    const group = consumerGroup(eventStore.topicPrefix ?? "", manifestSlug, dataStoreSlug);
    const kafka = createKafka(eventStore, { clientId: "rejot-verify", logger: createLogger("verify") });
    const reader = createKafkaReader(kafka);
    cleanup.defer(() => reader.close());
    const watch = new SinkWatch();
    for (const consumer of consumers) {
      left.shift();
      const others = consumersOf(destination, options.workspace).filter((each) => each !== consumer);
      const check = { ...settings, workDir, destination, consumer, others, group, registry };
      const audit = new DestinationAudit({
        ...settings,
        registry,
        workDir,
        reader,
        watch,
        about: aboutConsumer(destination, consumer),
        createCheck: () => new PostgresDestinationCheck(check),
      });
      const error = await away
        .ask(eventStore, () => audit.run())
        .then(
          () => undefined,
          (reason: unknown) => reason,
        );
      if (consumer.publicSchema === undefined) audit.report.notes.push(UNKNOWN_PUBLISHER);
      done(audit.report, error);
    }
  } catch (error) {
    options.signal.throwIfAborted();
    for (const consumer of left) done(newReport(aboutConsumer(destination, consumer)), error);
  }
}

const UNKNOWN_PUBLISHER =
  "its publisher's manifest is not in the workspace: source and topic are not compared";

/** The consumer schemas of all destinations that are the same database. */
function consumersOf(database: ResolvedDestination, { destinations }: Workspace): ResolvedConsumer[] {
  return destinations
    .filter(({ connection }) => isSameDatabase(connection, database.connection))
    .flatMap(({ consumers }) => consumers);
}

function registryOf({ schemaRegistry: { url, auth } }: ResolvedDestination["eventStore"]): SchemaRegistry {
  return createSchemaRegistry(auth === undefined ? { url } : { url, auth });
}

function aboutConsumer(
  { manifestSlug, dataStoreSlug }: ResolvedDestination,
  { consumerSchema, topic }: ResolvedConsumer,
) {
  const { name, majorVersion } = consumerSchema.publicSchema;
  return {
    kind: "destination" as const,
    manifest: manifestSlug,
    dataStore: dataStoreSlug,
    publicSchema: `${name}.v${majorVersion}`,
    consumerSchema: consumerSchema.name,
    topic,
  };
}

function aboutSource({ manifestSlug, dataStoreSlug, schema, topic }: ResolvedPublicSchema) {
  return {
    kind: "source" as const,
    manifest: manifestSlug,
    dataStore: dataStoreSlug,
    publicSchema: backfillName(schema),
    consumerSchema: null,
    topic,
  };
}

function errorOf(error: unknown): NonNullable<PairReport["error"]> {
  if (error instanceof RejotError) return { code: error.code, message: error.message, hint: error.hint };
  const message = error instanceof Error ? error.message : String(error);
  return { code: "INTERNAL_ERROR", message, hint: ERRORS.INTERNAL_ERROR.hint };
}
