import type { Team } from "../../oracle.ts";

/** One transaction of a team, as a person would tell it. */
export interface Write {
  readonly team: Team;
  /** What happened in the business. */
  readonly title: string;
  /** What happened to the tables, for example "INSERT accounts, emails". */
  readonly change: string;
  readonly statements: readonly { readonly sql: string; readonly values: readonly unknown[] }[];
}

/** Where ShopJot's choices come from; values of one's own make its story repeatable. */
export interface Chance {
  /** From 0 up to, not including, 1. */
  random(): number;
  uuid(): string;
}

/** A write whose statements are given as text and values. */
export function write(
  team: Team,
  title: string,
  change: string,
  ...statements: [sql: string, ...values: unknown[]][]
): Write {
  return { team, title, change, statements: statements.map(([sql, ...values]) => ({ sql, values })) };
}

/** One of the choices, of which there must be one. */
export function pick<T>(chance: Chance, choices: readonly T[]): T {
  return choices[Math.floor(chance.random() * choices.length)] as T;
}

/** Does something with one of the choices, if there is any. */
export function withOne<T, R>(
  chance: Chance,
  choices: readonly T[],
  work: (choice: T) => R | undefined,
): R | undefined {
  return choices.length === 0 ? undefined : work(pick(chance, choices));
}

/** Takes an item out of a list. */
export function remove<T>(from: T[], item: T): void {
  from.splice(from.indexOf(item), 1);
}
