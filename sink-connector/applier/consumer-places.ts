import { RejotError } from "../../shared/errors/error.ts";
import type { ConsumerPlace, ConsumerPlaces, PlacesRow } from "../ports.ts";

type Known = NonNullable<PlacesRow["consumers"]>;

/**
 * Where a sink's consumer schemas of a partition go on, by what the destination's row says; those that the row does not
 * know, at the partition's first offset. Those that are held stay where they are, unless none would be left: without any,
 * everything would be passed over.
 */
export function consumerPlaces(
  row: PlacesRow,
  names: readonly string[],
  firstOffset: number,
  held: Pick<ReadonlySet<string>, "has"> = new Set(),
): ConsumerPlaces {
  const known = row.consumers ?? Object.fromEntries(names.map((name) => [name, null]));
  const inStep = { offset: row.nextOffset, position: row.position };
  const free = names.filter((name) => !held.has(name));
  const starts = (free.length === 0 ? names : free).map((name): [string, ConsumerPlace] => {
    const at = known[name];
    if (at === undefined) return [name, { offset: firstOffset, position: null }];
    if (at === null) return [name, inStep];
    // Passed over by hand: whatever it has applied was before.
    return [
      name,
      at.position === null && at.offset >= row.nextOffset ? { ...at, position: row.position } : at,
    ];
  });
  return new Places(row, known, new Map(starts));
}

class Places implements ConsumerPlaces {
  readonly row: PlacesRow;
  readonly #known: Known;
  readonly #starts: ReadonlyMap<string, ConsumerPlace>;

  constructor(row: PlacesRow, known: Known, starts: ReadonlyMap<string, ConsumerPlace>) {
    this.row = row;
    this.#known = known;
    this.#starts = starts;
  }

  get readFrom(): ConsumerPlace {
    const starts = [...this.#starts.values()];
    if (starts.length === 0) return { offset: this.row.nextOffset, position: this.row.position };
    const offset = Math.min(...starts.map((at) => at.offset));
    const known = starts.find((at) => at.offset === offset && at.position !== null);
    return { offset, position: known?.position ?? null };
  }

  get behind(): ReadonlyMap<string, number> {
    const places = [...this.#starts].map(([name, { offset }]): [string, number] => [name, offset]);
    return new Map(places.filter(([, offset]) => offset < this.row.nextOffset));
  }

  needs(name: string, offset: number): boolean {
    const at = this.#starts.get(name);
    return at !== undefined && at.offset <= offset;
  }

  isPast(name: string, offset: number): boolean {
    const at = this.#starts.get(name);
    return at !== undefined && at.offset > offset;
  }

  movedTo(endOffset: number, last: ConsumerPlace | undefined): ConsumerPlaces {
    const { row } = this;
    const isFurther = endOffset > row.nextOffset;
    const isNews = last !== undefined && last.offset >= row.nextOffset;
    const furthest = {
      offset: isFurther ? endOffset : row.nextOffset,
      position: isNews ? last.position : row.position,
    };
    const here = { offset: endOffset, position: last?.position ?? this.readFrom.position };
    const inStepBefore = { offset: row.nextOffset, position: row.position };
    const starts = new Map(
      [...this.#starts].map(([name, at]): [string, ConsumerPlace] => {
        if (at.offset > endOffset) return [name, at];
        return [name, endOffset === furthest.offset ? furthest : here];
      }),
    );
    const consumers: Record<string, ConsumerPlace | null> = {};
    for (const [name, at] of [...Object.entries(this.#known), ...starts]) {
      const place = at ?? inStepBefore;
      consumers[name] = place.offset === furthest.offset ? null : place;
    }
    const text = consumersText(consumers);
    const { offset: nextOffset, position } = furthest;
    return new Places({ nextOffset, position, consumers, text }, consumers, starts);
  }
}

/** How the destination stores the places of consumer schemas. */
export function consumersText(consumers: Known): string {
  return JSON.stringify(consumers, (_name, at: unknown) =>
    isPlace(at) && at.position === null ? at.offset : at,
  );
}

/** Reads what is stored. Throws SINK_PROGRESS_INVALID. */
export function parseConsumers(text: string): Known {
  const found: unknown = JSON.parse(text);
  if (typeof found !== "object" || found === null || Array.isArray(found)) throw invalid(text);
  return Object.fromEntries(
    Object.entries(found).map(([name, at]: [string, unknown]) => {
      const place = typeof at === "number" ? { offset: at, position: null } : at;
      if (place !== null && !isPlace(place)) throw invalid(text);
      return [name, place];
    }),
  );
}

function isPlace(at: unknown): at is ConsumerPlace {
  if (typeof at !== "object" || at === null || !("offset" in at) || !("position" in at)) return false;
  const { offset, position } = at;
  return (
    Number.isSafeInteger(offset) && Number(offset) >= 0 && (position === null || typeof position === "string")
  );
}

function invalid(text: string): RejotError {
  return new RejotError("SINK_PROGRESS_INVALID", { detail: text.slice(0, 200) });
}
