/** A snapshot as `pg_current_snapshot()` describes it, in 64-bit transaction ids. */
export interface Snapshot {
  /** Everything below has ended. */
  readonly xmin: bigint;
  /** Nothing from here on is visible. */
  readonly xmax: bigint;
  /** In progress between the two. */
  readonly inProgress: ReadonlySet<bigint>;
}

/** Reads the text form `xmin:xmax:xip,xip,…`. */
export function parseSnapshot(text: string): Snapshot {
  const [xmin = "0", xmax = "0", list = ""] = text.split(":");
  return {
    xmin: BigInt(xmin),
    xmax: BigInt(xmax),
    inProgress: new Set(list === "" ? [] : list.split(",").map(BigInt)),
  };
}

/**
 * Whether a committed transaction is visible in the snapshot: Postgres sends a commit to the WAL stream before
 * other sessions see it. `xid` has the wire's 32 bits; the epoch is the one nearest to the snapshot's.
 */
export function contains(snapshot: Snapshot, xid: number): boolean {
  const wide = widen(xid, snapshot.xmax);
  return wide < snapshot.xmin || (wide < snapshot.xmax && !snapshot.inProgress.has(wide));
}

function widen(xid: number, near: bigint): bigint {
  const epoch = 1n << 32n;
  const candidate = (near & ~(epoch - 1n)) | BigInt(xid);
  if (candidate - near > epoch / 2n) return candidate - epoch;
  return near - candidate > epoch / 2n ? candidate + epoch : candidate;
}
