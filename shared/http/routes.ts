import type { ResolvedPublicSchema } from "../manifest/workspace.ts";
import { METRICS_CONTENT_TYPE, type Metrics } from "../observability/metrics.ts";
import { type Answer, json, jsonStream } from "./answer.ts";
import { publicSchemaJson } from "./public-schemas.ts";
import { readJson } from "./read/json-stream.ts";
import type { ReadPort } from "./read/port.ts";
import { cursorJson, parseReadQuery } from "./read/query.ts";
import type { ConnectorState, ConnectorStatus, UnitStatus } from "./status.ts";

/** What the routes show. */
export interface RouteSources {
  /** One connector, or several that share the process. */
  readonly status: () => ConnectorStatus | readonly ConnectorStatus[];
  readonly metrics: readonly Metrics[];
  readonly publicSchemas: () => readonly ResolvedPublicSchema[];
  readonly read: ReadPort;
}

/** One route; all are read with GET. */
export interface Route {
  readonly path: string;
  /** Served without a token, for probes that cannot send one. */
  readonly open?: true;
  readonly answer: (query: URLSearchParams, signal: AbortSignal) => Answer | Promise<Answer>;
}

type Unit = UnitStatus & { connector: ConnectorStatus["connector"] };

/** The routes of a connector, the same for active and standby ones. */
export function connectorRoutes(sources: RouteSources): Route[] {
  const { metrics, publicSchemas, read } = sources;
  const statuses = () => [sources.status()].flat();
  const units = () => statuses().flatMap(unitsOf);
  const routes: Route[] = [
    {
      path: "/",
      answer: () =>
        json(200, {
          health: isHealthy(units()) ? "ok" : "error",
          routes: routes.map(({ path }) => ({ method: "GET", path })),
        }),
    },
    { path: "/healthz", open: true, answer: () => healthz(isHealthy(units())) },
    { path: "/readyz", answer: () => readyz(statuses()) },
    {
      path: "/metrics",
      answer: async () => ({
        status: 200,
        contentType: METRICS_CONTENT_TYPE,
        body: (await Promise.all(metrics.map((set) => set.render()))).join("\n"),
      }),
    },
    { path: "/status", answer: () => json(200, statusJson(statuses())) },
    { path: "/public-schemas", answer: () => json(200, publicSchemas().map(publicSchemaJson)) },
    {
      path: "/data-store/cursors",
      answer: async (_query, signal) => json(200, (await read.cursors(signal)).map(cursorJson)),
    },
    {
      path: "/read",
      answer: (query, signal) => jsonStream(readJson(read.read(parseReadQuery(query), signal))),
    },
  ];
  return routes;
}

function unitsOf({ connector, units }: ConnectorStatus): Unit[] {
  return units.map((unit) => ({ connector, ...unit }));
}

function isHealthy(units: readonly Unit[]): boolean {
  return units.every(({ role }) => role !== "failed");
}

function healthz(healthy: boolean): Answer {
  return json(healthy ? 200 : 503, { health: healthy ? "ok" : "error" });
}

function readyz(statuses: readonly ConnectorStatus[]): Answer {
  const units = statuses.flatMap(unitsOf);
  const ready =
    statuses.every(({ state }) => state === "started") &&
    units.every(({ role }) => role === "active" || role === "standby");
  const body = units.map((unit) => {
    const { connector, manifestSlug, dataStore, role, position, lagMs, lagBytes, rebuilding, lastError } =
      unit;
    return {
      connector,
      manifestSlug,
      dataStore,
      role,
      position,
      lagMs,
      ...(lagBytes === undefined ? {} : { lagBytes }),
      ...(rebuilding === undefined ? {} : { rebuilding }),
      lastError,
    };
  });
  return json(ready ? 200 : 503, { ready, state: stateOf(statuses), units: body });
}

/** The states in the order a connector goes through them; a process is as far as its slowest part. */
const STATES = ["initial", "prepared", "started", "stopped", "closed"] as const;

function stateOf(statuses: readonly ConnectorStatus[]): ConnectorState {
  const least = Math.min(...statuses.map(({ state }) => STATES.indexOf(state)));
  return STATES[least] ?? "initial";
}

function statusJson(statuses: readonly ConnectorStatus[]): unknown {
  return { state: stateOf(statuses), units: statuses.flatMap(unitsOf) };
}
