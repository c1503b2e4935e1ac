import type { ErrorCode } from "../../shared/errors/table.ts";

/** Keys that something was found of: how many, and the first of them as JSON of the key's fields. */
export interface Found {
  count: number;
  readonly first: string[];
}

/** Keys whose values differ: how often each field does, and the first keys with their fields. */
export interface FoundDifferent {
  count: number;
  readonly fields: Record<string, number>;
  readonly first: { readonly key: string; readonly fields: readonly string[] }[];
}

/** Records that cannot be decoded, named by where they stand. */
export interface FoundUndecodable {
  count: number;
  readonly first: { readonly at: string; readonly key: string; readonly reason: string }[];
}

/** What comparing one side with the next has found. The counts add up to `keys`. */
export interface PairReport {
  /** `source`: the public schema's SQL against the topic; `destination`: the topic against a consumer schema's table. */
  readonly kind: "source" | "destination";
  readonly manifest: string;
  readonly dataStore: string;
  /** `<name>.v<major>` */
  readonly publicSchema: string;
  /** Of a destination. */
  readonly consumerSchema: string | null;
  readonly topic: string;
  /** The LSN, or the offsets by partition, at which both sides were compared; null where they were not. */
  position: string | Record<string, string> | null;
  /** Why they could not be compared at all, by their nature. */
  incomparable: string | null;
  /** Why comparing them failed, or what else went wrong: see `compared`. */
  error: { readonly code: ErrorCode; readonly message: string; readonly hint: string } | null;
  /** Whether they were compared to the end. A sink that stands still is an error, and what it has applied is compared. */
  compared: boolean;
  /** How many records of the topic a destination has not applied; null where that was not counted. */
  behind: number | null;
  rounds: number;
  keys: number;
  equal: number;
  /** In the first of the two, not in the second. */
  readonly missing: Found;
  /** In the second of the two, not in the first; null where that is not to be told. */
  extra: Found | null;
  /** Whether extras are what the contract says: nothing publishes deletes. */
  extraAllowed: boolean;
  readonly different: FoundDifferent;
  /** Changed in every round, so that nothing can be said. */
  readonly unsettled: Found;
  readonly undecodable: FoundUndecodable;
  readonly notes: string[];
}

/** A report in which nothing was found yet. */
export function newReport(
  about: Pick<PairReport, "kind" | "manifest" | "dataStore" | "publicSchema" | "consumerSchema" | "topic">,
): PairReport {
  return {
    ...about,
    position: null,
    incomparable: null,
    error: null,
    compared: false,
    behind: null,
    rounds: 0,
    keys: 0,
    equal: 0,
    missing: { count: 0, first: [] },
    extra: { count: 0, first: [] },
    extraAllowed: false,
    different: { count: 0, fields: {}, first: [] },
    unsettled: { count: 0, first: [] },
    undecodable: { count: 0, first: [] },
    notes: [],
  };
}

/** How many keys are not as they should be. */
export function differences({ missing, extra, extraAllowed, different, undecodable }: PairReport): number {
  const extras = extra === null || extraAllowed ? 0 : extra.count;
  return missing.count + extras + different.count + undecodable.count;
}

/** Whether something was compared, and all of it is equal: nothing differs, is unsettled or failed. */
export function allEqual(reports: readonly PairReport[]): boolean {
  const settled = reports.every(
    (report) => report.error === null && differences(report) === 0 && report.unsettled.count === 0,
  );
  return settled && reports.some(({ compared }) => compared);
}
