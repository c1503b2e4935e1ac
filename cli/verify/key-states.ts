import { type KeyRecord, KIND, NOWHERE, type Place } from "./key-records.ts";

/** All that is known of one key at one position. */
export interface KeyState {
  readonly key: Buffer;
  /** The latest event up to the position. */
  event: KeyRecord | undefined;
  /** An event behind the position exists: compaction may have taken the one before it. */
  later: Place | undefined;
  /** Events behind the position stand in several partitions. */
  laterInSeveral: boolean;
  /** What the source gives: one print, unless its SQL gives several rows of one key. */
  readonly rows: Buffer[];
}

/**
 * What a key's state says: `absent`, no row and no live event; `moving`, nothing is to be told, because an event behind
 * the position may have taken the place of the one that belongs to it.
 */
export type Verdict = "equal" | "absent" | "missing" | "extra" | "different" | "undecodable" | "moving";

/** The states of the keys in one bucket's records, by the key's bytes. */
export function keyStates(records: Iterable<KeyRecord>): Map<string, KeyState> {
  const states = new Map<string, KeyState>();
  for (const record of records) {
    const name = record.key.toString("latin1");
    let state = states.get(name);
    if (state === undefined) {
      state = {
        key: Buffer.from(record.key),
        event: undefined,
        later: undefined,
        laterInSeveral: false,
        rows: [],
      };
      states.set(name, state);
    }
    add(state, record);
  }
  return states;
}

function add(state: KeyState, record: KeyRecord): void {
  const { kind, place, print } = record;
  if (kind === KIND.later) {
    state.laterInSeveral ||= state.later !== undefined && state.later.partition !== place.partition;
    state.later = place;
  } else if (kind === KIND.row) {
    if (!state.rows.some((row) => row.equals(print))) state.rows.push(kept(print, undefined));
  } else if (kind !== KIND.suspect && (state.event === undefined || isBehind(record, state.event)))
    state.event = { ...record, key: state.key, print: kept(print, state.event?.print) };
}

/** A copy: the record's own memory is the part of a bucket that it was read with, and is to be let go. */
function kept(print: Buffer, before: Buffer | undefined): Buffer {
  const copy = before?.length === print.length ? before : Buffer.allocUnsafeSlow(print.length);
  print.copy(copy);
  return copy;
}

function isBehind(a: KeyRecord, b: KeyRecord): boolean {
  return a.sequence !== b.sequence ? a.sequence > b.sequence : a.place.offset > b.place.offset;
}

/**
 * Whether the event that was found may not be the one that belongs to the position, however often it is found again.
 *
 * Compaction takes an event away once a later one of its key is in the same partition, and with it all earlier ones:
 * those stand before it in the log, which is cleaned from its beginning. A reader who is overtaken by that may find an
 * earlier event and no longer the one that belongs to the position; who reads once more finds neither. So an event that
 * is found in two rounds was the one that belongs there in the first. That holds within a partition. When partitions
 * were added, later events of a key may be in another one, where they take away what belongs to the position and leave
 * an earlier event in the old partition for ever.
 */
export function maybeOvertaken({ event, later, laterInSeveral }: KeyState): boolean {
  if (later === undefined) return false;
  return event === undefined || laterInSeveral || later.partition !== event.place.partition;
}

/**
 * Compares a key's rows at the source with its event. `moving` wherever there is a later event, also where the event was
 * not overtaken: it may show joined rows as they were a little later, and the next round's position is behind all
 * events that this one has seen, so a key that rests has no later event then.
 */
export function verdictOf({ event, later, rows }: KeyState): Verdict {
  const live = event === undefined || event.kind === KIND.tombstone ? undefined : event;
  if (live === undefined && rows.length === 0) return "absent";
  if (live?.kind === KIND.live && rows.some((row) => row.equals(live.print))) return "equal";
  if (later !== undefined) return "moving";
  if (live === undefined) return "missing";
  if (live.kind === KIND.undecodable) return "undecodable";
  return rows.length === 0 ? "extra" : "different";
}

/** Where the event stands that a verdict speaks of. */
export function placeOf({ event }: KeyState): Place {
  return event?.place ?? NOWHERE;
}
