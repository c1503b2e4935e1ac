import { tmpdir } from "node:os";
import { RejotError } from "../../shared/errors/error.ts";
import { ERRORS } from "../../shared/errors/table.ts";
import { backfillName } from "../../shared/kafka/backfill-record.ts";
import { createKafka } from "../../shared/kafka/kafka-client.ts";
import { createKafkaReader } from "../../shared/kafka/kafka-reader.ts";
import { progressTopic } from "../../shared/kafka/naming.ts";
import type { ResolvedPublicSchema, ResolvedSource, Workspace } from "../../shared/manifest/workspace.ts";
import { createLogger } from "../../shared/observability/logger.ts";
import { createSchemaRegistry } from "../../shared/registry/schema-registry.ts";
import type { SourceConfig } from "../../source-connector/config.ts";
import { ProgressWatcher } from "../../source-connector/progress/kafka-progress.ts";
import { requireSameHistory } from "../../source-connector/setup/starting-point.ts";
import { newReport, type PairReport } from "./pair-report.ts";
import { type AuditSettings, SourceAudit } from "./source-audit.ts";
import { SourceRows } from "./source-rows.ts";

/** What is compared, and how. */
export interface VerifyOptions extends Omit<AuditSettings, "registry" | "workDir"> {
  readonly workspace: Workspace;
  readonly config: SourceConfig;
  /** Whether a public schema is to be looked at. */
  readonly wants: (publicSchema: ResolvedPublicSchema) => boolean;
  /** Default: the system's directory for temporary files. */
  readonly workDir: string | undefined;
  /** Told of each comparison as soon as it is over. */
  readonly onReport: (report: PairReport) => void;
}

/**
 * Compares, one after the other, all that is wanted. What fails is a report with an error: one server that is away does
 * not keep the others from being looked at. Gives the reports, and the exit code of the first that failed.
 */
export async function verify(
  options: VerifyOptions,
): Promise<{ readonly reports: readonly PairReport[]; readonly failure: number }> {
  const reports: PairReport[] = [];
  let failure = 0;
  const done = (report: PairReport, error?: unknown): void => {
    if (error !== undefined) {
      report.error = errorOf(error);
      if (failure === 0) failure = ERRORS[report.error.code].exitCode;
    }
    reports.push(report as PairReport);
    options.onReport(report);
  };
  for (const source of options.workspace.sources) {
    const publicSchemas = source.publicSchemas.filter(options.wants);
    if (publicSchemas.length > 0) await verifySource({ ...source, publicSchemas }, options, done);
  }
  return { reports, failure };
}

type Done = (report: PairReport, error?: unknown) => void;

async function verifySource(source: ResolvedSource, options: VerifyOptions, done: Done): Promise<void> {
  const { config, signal, timeoutMs, workDir = tmpdir(), ...settings } = options;
  await using cleanup = new AsyncDisposableStack();
  const { schemaRegistry, topicPrefix = "" } = source.eventStore;
  const { url, auth } = schemaRegistry;
  const registry = createSchemaRegistry(auth === undefined ? { url } : { url, auth });
  const left = [...source.publicSchemas];
  try {
    const rows = cleanup.use(await SourceRows.open({ source, config, registry, timeoutMs, signal }));
    const kafka = createKafka(source.eventStore, {
      clientId: "rejot-verify",
      logger: createLogger("verify"),
    });
    const reader = createKafkaReader(kafka);
    cleanup.defer(() => reader.close());
    const topic = progressTopic(topicPrefix, source.manifestSlug, source.dataStoreSlug);
    const progress = await ProgressWatcher.start(kafka, topic, signal);
    cleanup.defer(() => progress.stop());
    // LSNs of another cluster, or of another line of its history, mean nothing.
    requireSameHistory({ progress: progress.progress, ...(await rows.identity()) });
    for (const [schema, publicSchema] of source.publicSchemas.entries()) {
      left.shift();
      const more = { registry, workDir, timeoutMs, signal };
      const audit = new SourceAudit({ ...settings, ...more, schema, publicSchema, rows, progress, reader });
      await audit.run().then(
        () => done(audit.report),
        (error: unknown) => done(audit.report, error),
      );
    }
  } catch (error) {
    for (const publicSchema of left) done(newReport(aboutSource(publicSchema)), error);
  }
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
