import { describeError, RejotError } from "../shared/errors/error.ts";
import type { ConnectorState, ConnectorStatus } from "../shared/http/status.ts";
import type { Service } from "../shared/lifecycle/service.ts";
import { Supervisor } from "../shared/lifecycle/supervisor.ts";
import type { ResolvedDestination, Workspace } from "../shared/manifest/workspace.ts";
import { createLogger } from "../shared/observability/logger.ts";
import { createMetrics, type Metrics } from "../shared/observability/metrics.ts";
import { createSchemaRegistry } from "../shared/registry/schema-registry.ts";
import type { AcceptedStatements } from "./applier/postgres-parameters.ts";
import type { SinkConfig } from "./config.ts";
import { type DestinationPlan, planDestination } from "./destination-plan.ts";
import { Session } from "./session.ts";
import { defineSinkMetrics, type SinkMetrics, UnitState } from "./unit-state.ts";

const logger = createLogger("sink");

/** What a sink connector is made from. */
export interface SinkOptions {
  readonly workspace: Workspace;
  readonly config: SinkConfig;
  /** Only destinations of these manifests. Default: all of the workspace. */
  readonly manifestSlugs?: readonly string[];
}

/** Applies events to the destinations of a workspace's manifests, each on its own. */
export interface SinkConnector extends Service {
  readonly metrics: Metrics;
  status(): ConnectorStatus;
}

interface Unit {
  readonly state: UnitState;
  readonly supervisor: Supervisor;
}

/**
 * Makes the sink connector. Starting throws when a consumer schema's SQL cannot be used at all; trouble with servers
 * is waited out. A destination that fails for good does not hold up the others: `done` rejects when none is left,
 * and `stop` throws what made one fail. Throws NOTHING_TO_APPLY when there is no destination.
 */
export function createSink(options: SinkOptions): SinkConnector {
  const { workspace, manifestSlugs } = options;
  const destinations = workspace.destinations.filter(
    (destination) => manifestSlugs?.includes(destination.manifestSlug) ?? true,
  );
  if (destinations.length === 0) throw new RejotError("NOTHING_TO_APPLY");
  return new Sink(destinations, options.config);
}

class Sink implements SinkConnector {
  readonly name = "sink";
  readonly metrics: Metrics;
  readonly #config: SinkConfig;
  readonly #destinations: readonly ResolvedDestination[];
  readonly #done = Promise.withResolvers<void>();
  #units: readonly Unit[] = [];
  #state: ConnectorState = "initial";
  #failure: unknown;

  constructor(destinations: readonly ResolvedDestination[], config: SinkConfig) {
    this.#destinations = destinations;
    this.#config = config;
    const metrics = createMetrics("rejot_sink");
    this.metrics = {
      ...metrics,
      render: () => {
        for (const unit of this.#units) unit.state.collect();
        return metrics.render();
      },
    };
  }

  get done(): Promise<void> {
    return this.#done.promise;
  }

  async start(signal: AbortSignal): Promise<void> {
    const metrics = defineSinkMetrics(this.metrics);
    const plans = await Promise.all(this.#destinations.map(planDestination));
    this.#units = this.#destinations.map((destination, i) =>
      this.#unit(destination, plans[i] as DestinationPlan, metrics),
    );
    this.#state = "prepared";
    const drain = (): void => {
      for (const unit of this.#units) unit.supervisor.drain();
    };
    signal.addEventListener("abort", drain, { once: true });
    if (signal.aborted) drain();
    const running = this.#units.map((unit) => unit.supervisor.run());
    this.#state = "started";
    void Promise.allSettled(running).then((results) => {
      const failed = results.find((result) => result.status === "rejected");
      if (failed === undefined) this.#done.resolve();
      else this.#done.reject(failed.reason);
    });
  }

  async stop(): Promise<void> {
    const othersWereRunning = this.#units.some(({ state }) => state.role !== "failed");
    this.#state = "stopped";
    await Promise.all(this.#units.map((unit) => unit.supervisor.stop()));
    this.#state = "closed";
    // With nobody left running it was `done` that told.
    if (this.#failure !== undefined && othersWereRunning) throw this.#failure;
  }

  status(): ConnectorStatus {
    return { connector: "sink", state: this.#state, units: this.#units.map((unit) => unit.state.status) };
  }

  #unit(destination: ResolvedDestination, plan: DestinationPlan, metrics: SinkMetrics): Unit {
    const { url, auth } = destination.eventStore.schemaRegistry;
    const registry = createSchemaRegistry(auth === undefined ? { url } : { url, auth });
    const state = new UnitState(destination, plan.group, metrics);
    const log = logger.child({ manifest: destination.manifestSlug, dataStore: destination.dataStoreSlug });
    const config = this.#config;
    const accepted: AcceptedStatements = new Map();
    const supervisor = new Supervisor(
      ({ drain, worked }) =>
        new Session({
          destination,
          plan,
          config,
          state,
          registry,
          accepted,
          logger: log,
          drain,
          worked,
        }).run(),
      {
        onRetry: (error, delayMs) => {
          state.retrying(error);
          log.warn(
            { err: error, delayMs: Math.round(delayMs) },
            "the destination's session ended and starts again",
          );
        },
        onFailed: (error) => {
          state.failed(error);
          this.#failure ??= error;
          if (this.#units.length > 1) log.error({ err: error }, describeError(error));
        },
      },
    );
    return { state, supervisor };
  }
}
