import { randomUUID } from "node:crypto";
import { describeError, RejotError } from "../shared/errors/error.ts";
import type { ConnectorState, ConnectorStatus } from "../shared/http/status.ts";
import type { Service } from "../shared/lifecycle/service.ts";
import { Supervisor } from "../shared/lifecycle/supervisor.ts";
import type { ResolvedSource, Workspace } from "../shared/manifest/workspace.ts";
import { createLogger } from "../shared/observability/logger.ts";
import { createMetrics, type Metrics } from "../shared/observability/metrics.ts";
import type { SourceConfig } from "./config.ts";
import { Session } from "./session.ts";
import type { SessionMemory } from "./session-context.ts";
import { UnitState } from "./unit-state.ts";

const logger = createLogger("source");

/** What a source connector is made from. */
export interface SourceOptions {
  readonly workspace: Workspace;
  readonly config: SourceConfig;
}

/** Publishes the data stores of a workspace's manifests, each on its own. */
export interface SourceConnector extends Service {
  readonly metrics: Metrics;
  status(): ConnectorStatus;
}

/** Makes the source connector of all sources in the workspace. Throws NOTHING_TO_PUBLISH when there is none. */
export function createSource(options: SourceOptions): SourceConnector {
  const sources = options.workspace.sources.filter((source) => source.publicSchemas.length > 0);
  if (sources.length === 0) throw new RejotError("NOTHING_TO_PUBLISH");
  const metrics = createMetrics("rejot_source");
  const units = sources.map((source) => createUnit(source, options.config, metrics));
  const done = Promise.withResolvers<void>();
  let state: ConnectorState = "initial";
  return {
    name: "source",
    metrics,
    done: done.promise,
    async start(signal) {
      const abort = () => {
        for (const unit of units) unit.supervisor.abort();
      };
      signal.addEventListener("abort", abort, { once: true });
      state = "prepared";
      const running = units.map((unit) => unit.run());
      // One data store's failure does not hold up the others; the process ends when none is left.
      void Promise.allSettled(running.map(({ ended }) => ended)).then((results) => {
        const failed = results.find((result) => result.status === "rejected");
        if (failed !== undefined) done.reject(failed.reason);
        else done.resolve();
      });
      await Promise.all(running.map(({ settled }) => settled));
      state = "started";
    },
    async stop() {
      state = "stopped";
      await Promise.all(units.map((unit) => unit.supervisor.stop()));
      state = "closed";
    },
    status: () => ({ connector: "source", state, units: units.map((unit) => unit.state.status) }),
  };
}

interface Unit {
  readonly state: UnitState;
  readonly supervisor: Supervisor;
  /**
   * `settled` resolves when the first session is active, stands by, or is tried again, and rejects when it failed for
   * good; `ended` settles with the supervisor.
   */
  run(): { readonly settled: Promise<void>; readonly ended: Promise<void> };
}

function createUnit(source: ResolvedSource, config: SourceConfig, metrics: Metrics): Unit {
  const state = new UnitState(source, metrics);
  const instance = randomUUID();
  const log = logger.child({ manifest: source.manifestSlug, dataStore: source.dataStoreSlug });
  const first = Promise.withResolvers<void>();
  const settled = () => first.resolve();
  const memory: SessionMemory = { foreign: undefined };
  const supervisor = new Supervisor(
    (control) => {
      const working = () => {
        control.worked();
        settled();
      };
      return new Session({
        source,
        config,
        state,
        instance,
        log,
        control,
        memory,
        settled: working,
      }).run();
    },
    {
      onRetry: (error, delayMs) => {
        state.failed(error);
        state.role = "retrying";
        settled();
        log.warn({ err: error, delayMs: Math.round(delayMs) }, "the pipeline ended and starts again");
      },
      onFailed: (error) => {
        state.failed(error);
        state.role = "failed";
        log.error({ err: error }, describeError(error));
      },
    },
  );
  const run = () => {
    const ended = supervisor.run();
    ended.then(settled, first.reject);
    return { settled: first.promise, ended };
  };
  return { state, supervisor, run };
}
