import type { ConsumerPlaces, PlacesRow } from "../ports.ts";

/**
 * Where a sink's consumer schemas of a partition go on, by what the destination's row says; those that the row does not
 * know, at the partition's first offset. Those that are held stay where they are, unless none would be left: without any,
 * everything would be passed over.
 */
export function consumerPlaces(
  row: PlacesRow,
  names: readonly string[],
  firstOffset: number,
  held: ReadonlySet<string> = new Set(),
): ConsumerPlaces {
  const known = row.consumers ?? Object.fromEntries(names.map((name) => [name, null]));
  const free = names.filter((name) => !held.has(name));
  const starts = (free.length === 0 ? names : free).map((name): [string, number] => {
    const at = known[name];
    return [name, at === undefined ? firstOffset : (at ?? row.nextOffset)];
  });
  return new Places(row, known, new Map(starts));
}

class Places implements ConsumerPlaces {
  readonly row: PlacesRow;
  readonly #known: NonNullable<PlacesRow["consumers"]>;
  readonly #starts: ReadonlyMap<string, number>;

  constructor(
    row: PlacesRow,
    known: NonNullable<PlacesRow["consumers"]>,
    starts: ReadonlyMap<string, number>,
  ) {
    this.row = row;
    this.#known = known;
    this.#starts = starts;
  }

  get readFrom(): number {
    return this.#starts.size === 0 ? this.row.nextOffset : Math.min(...this.#starts.values());
  }

  get behind(): ReadonlyMap<string, number> {
    return new Map([...this.#starts].filter(([, at]) => at < this.row.nextOffset));
  }

  needs(name: string, offset: number): boolean {
    return (this.#starts.get(name) ?? Number.POSITIVE_INFINITY) <= offset;
  }

  isPast(name: string, offset: number): boolean {
    return (this.#starts.get(name) ?? 0) > offset;
  }

  movedTo(endOffset: number): ConsumerPlaces {
    const nextOffset = Math.max(this.row.nextOffset, endOffset);
    const starts = new Map([...this.#starts].map(([name, at]) => [name, Math.max(at, endOffset)]));
    const consumers: Record<string, number | null> = {};
    for (const [name, at] of Object.entries(this.#known)) {
      const place = at ?? this.row.nextOffset;
      consumers[name] = place === nextOffset ? null : place;
    }
    for (const [name, at] of starts) consumers[name] = at === nextOffset ? null : at;
    return new Places({ nextOffset, consumers }, consumers, starts);
  }
}
