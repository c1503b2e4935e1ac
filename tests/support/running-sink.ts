import type { ConnectorStatus, UnitStatus } from "../../shared/http/status.ts";
import { loadManifests } from "../../shared/manifest/load.ts";
import { resolveWorkspace } from "../../shared/manifest/workspace.ts";
import { setLogLevel } from "../../shared/observability/logger.ts";
import { readSettings } from "../../shared/settings/settings.ts";
import { SINK_PREFIX, type SinkConfig, sinkSettings } from "../../sink-connector/config.ts";
import { createSink, type SinkConnector } from "../../sink-connector/connector.ts";
import { waitFor } from "./wait-for.ts";

/** A sink in this process; `await using` stops it. */
export interface RunningSink extends AsyncDisposable {
  readonly sink: SinkConnector;
  /** The only destination's status. */
  unit(): UnitStatus;
  status(): ConnectorStatus;
  /** Waits for a condition; throws at once when the sink has failed for good. */
  eventually<T>(condition: () => Promise<T>, what: string, timeoutMs?: number): Promise<NonNullable<T>>;
  /** Waits until the destination is being served. */
  waitForActive(): Promise<void>;
  /** What ended the sink by itself; waits for it. */
  failure(): Promise<unknown>;
}

/** Settings that make tests quick. */
const QUICK: Partial<SinkConfig> = { topicPollMs: 200, metadataMaxAgeMs: 1_000, fetchMaxWaitMs: 50 };

/** Starts a sink on a manifest. */
export async function startSink(
  manifestPath: string,
  overrides: Partial<SinkConfig> = {},
): Promise<RunningSink> {
  setLogLevel("silent");
  const { values } = readSettings(sinkSettings, { prefix: SINK_PREFIX, env: {}, args: [] });
  const workspace = await resolveWorkspace(await loadManifests([manifestPath]), {}, ["sink"]);
  const sink = createSink({ workspace, config: { ...values, ...QUICK, ...overrides } });
  const ended = sink.done.then(
    () => undefined,
    (error: unknown) => error,
  );
  await sink.start(new AbortController().signal);
  const unit = (): UnitStatus => sink.status().units[0] as UnitStatus;
  const failed = ended.then((error) => {
    throw new Error("the sink has ended", { cause: error });
  });
  failed.catch(() => {});
  const eventually = async <T>(
    condition: () => Promise<T>,
    what: string,
    timeoutMs = 60_000,
  ): Promise<NonNullable<T>> => {
    const describe = () => `${what}; the sink: ${JSON.stringify(unit())}`;
    return Promise.race([waitFor<T>(condition, { describe, timeoutMs }), failed]);
  };
  return {
    sink,
    unit,
    status: () => sink.status(),
    eventually,
    waitForActive: async () => {
      await eventually(async () => unit().role === "active", "the sink to be active");
    },
    failure: () => ended,
    [Symbol.asyncDispose]: () => sink.stop(),
  };
}
