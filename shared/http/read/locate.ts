import { atLeast, atMost } from "../../kafka/offsets.ts";
import type { Lsn } from "../../postgres/lsn.ts";

/** The events of a stretch of a partition, in order. */
export interface LocatePage {
  readonly events: readonly { readonly offset: bigint; readonly commitLsn: Lsn }[];
  /** Where the stretch ends. */
  readonly nextOffset: bigint;
}

/** Distance from the end that is looked at first: a reader is usually close behind. */
const FIRST_STEP = 8n;

/**
 * The first offset of a partition whose events are behind a transaction: searched from the end with growing steps,
 * then by halves. Commit LSNs grow with offsets, but for the repeats of an at-least-once publisher after a crash;
 * those begin at or before the transaction that the crash cut, so either place that the search may find is one
 * behind which nothing is missing.
 */
export async function locate(
  after: Lsn,
  bounds: { readonly start: bigint; readonly end: bigint },
  page: (offset: bigint) => Promise<LocatePage>,
): Promise<bigint> {
  let low = bounds.start;
  let high = bounds.end;
  let step = FIRST_STEP;
  let belowFound = false;
  while (low < high) {
    const at = belowFound ? (low + high) / 2n : atLeast(high - step, low);
    const { events, nextOffset } = await nextWithEvents(at, high, page);
    const index = events.findIndex(({ commitLsn }) => commitLsn > after);
    const first = events[index];
    if (first !== undefined && index > 0) return atMost(first.offset, high);
    if (first === undefined && events.length > 0) {
      low = nextOffset;
      belowFound = true;
    } else {
      high = at;
      step *= 8n;
    }
  }
  return high;
}

/** A stretch may hold markers only, or nothing since it was compacted: that says nothing of what is before it. */
async function nextWithEvents(
  from: bigint,
  to: bigint,
  page: (offset: bigint) => Promise<LocatePage>,
): Promise<LocatePage> {
  let found = await page(from);
  while (found.events.length === 0 && found.nextOffset < to) found = await page(found.nextOffset);
  return found;
}
