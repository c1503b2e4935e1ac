import type { ConsumerPlaces, PlacesRow } from "../ports.ts";

/**
 * Where consumer schemas of a partition go on, by what the destination's row says; those that the row does not know, at
 * the partition's first offset.
 */
export function consumerPlaces(
  row: PlacesRow,
  names: readonly string[],
  firstOffset: number,
): ConsumerPlaces {
  const start = (name: string): number => {
    if (row.consumers === null) return row.nextOffset;
    const at = row.consumers[name];
    return at === undefined ? firstOffset : (at ?? row.nextOffset);
  };
  return new Places(row, new Map(names.map((name) => [name, start(name)])));
}

class Places implements ConsumerPlaces {
  readonly row: PlacesRow;
  readonly #starts: ReadonlyMap<string, number>;

  constructor(row: PlacesRow, starts: ReadonlyMap<string, number>) {
    this.row = row;
    this.#starts = starts;
  }

  get readFrom(): number {
    return this.#starts.size === 0 ? this.row.nextOffset : Math.min(...this.#starts.values());
  }

  get areInStep(): boolean {
    return new Set(this.#starts.values()).size <= 1;
  }

  get behind(): ReadonlyMap<string, number> {
    return new Map([...this.#starts].filter(([, at]) => at < this.row.nextOffset));
  }

  needs(name: string, offset: number): boolean {
    return (this.#starts.get(name) ?? 0) <= offset;
  }

  movedTo(endOffset: number): ConsumerPlaces {
    const nextOffset = Math.max(this.row.nextOffset, endOffset);
    const starts = new Map([...this.#starts].map(([name, at]) => [name, Math.max(at, endOffset)]));
    const consumers: Record<string, number | null> = {};
    for (const [name, at] of Object.entries(this.row.consumers ?? {})) {
      const place = at ?? this.row.nextOffset;
      consumers[name] = place === nextOffset ? null : place;
    }
    for (const [name, at] of starts) consumers[name] = at === nextOffset ? null : at;
    return new Places({ nextOffset, consumers }, starts);
  }
}
