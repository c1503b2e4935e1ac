import { atLeast } from "../../kafka/offsets.ts";
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
    const { events, nextOffset } = await page(at);
    const index = events.findIndex(({ commitLsn }) => commitLsn > after);
    const first = events[index];
    if (first === undefined) {
      low = nextOffset;
      belowFound = true;
    } else if (index === 0) {
      high = at;
      step *= 8n;
    } else {
      return first.offset < high ? first.offset : high;
    }
  }
  return high;
}
