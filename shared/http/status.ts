/** What a unit of a connector is doing: one data store of a source, one destination of a sink. */
export type UnitRole = "starting" | "active" | "standby" | "retrying" | "failed";

/** The last error of a unit, as status pages show it. */
export interface UnitError {
  code: string;
  message: string;
  hint: string;
  /** ISO 8601, UTC. */
  at: string;
}

/** A source that makes up for missing changes: it publishes all rows anew and removes what is gone. */
export interface UnitRebuild {
  /** Code and message of what was found. */
  reason: string;
  /** What is missing lies between these LSNs. */
  from: string;
  to: string;
  /** ISO 8601, UTC. */
  since: string;
  /** The public schemas that are not through yet. */
  left: string[];
}

/** One data store of a source connector, or one destination data store of a sink connector. */
export interface UnitStatus {
  manifestSlug: string;
  dataStore: string;
  role: UnitRole;
  /** How far it is: for a source the LSN last published, for a sink the position last applied. */
  position: string | null;
  /** Age of the newest change that is not yet through; null when unknown. */
  lagMs: number | null;
  /** Write-ahead log not yet published; sources only. */
  lagBytes?: number | null;
  /** While it is under way; sources only. */
  rebuilding?: UnitRebuild;
  lastError: UnitError | null;
  details?: Record<string, unknown>;
}

/** The states of ReJot's sync engine, answered by GET /status. */
export type ConnectorState = "initial" | "prepared" | "started" | "stopped" | "closed";

/** What a connector reports about itself. */
export interface ConnectorStatus {
  connector: "source" | "sink";
  state: ConnectorState;
  units: UnitStatus[];
}
