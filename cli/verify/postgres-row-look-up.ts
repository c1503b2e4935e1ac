import { type PostgresClient, sqlState } from "../../shared/postgres/client.ts";
import { textArrayLiteral } from "../../shared/postgres/text-array.ts";
import { halving } from "./halving.ts";
import { unfitReason } from "./postgres-answer.ts";
import type { RowStatement } from "./row-statement.ts";

/** Values of an event as its statement takes them. */
export interface Bound {
  readonly values: readonly (string | null)[];
}

/** A row of the destination: its identity, and whether each compared column is what the event says. */
export interface FoundRow {
  readonly identity: string;
  readonly same: readonly boolean[];
}

/** What looking rows up has found: the rows of each item; or why the statement does not take its values. */
export interface LookedUp<T> {
  readonly found: readonly { readonly item: T; readonly rows: readonly FoundRow[] }[];
  readonly unfit: readonly { readonly item: T; readonly reason: string }[];
}

/** Looks the rows of events up in the transaction that the client is in. Throws what the server does. */
export async function lookRowsUp<T extends Bound>(
  client: PostgresClient,
  statement: Pick<RowStatement, "text" | "mayBeNull">,
  items: readonly T[],
  what: "columns" | "identity",
): Promise<LookedUp<T>> {
  const outcome = {
    found: [] as { item: T; rows: FoundRow[] }[],
    unfit: [] as { item: T; reason: string }[],
  };
  for (const mayBeNull of [false, true]) {
    const text = statement.text(what, mayBeNull);
    const some = items.filter(({ values }) => statement.mayBeNull(values) === mayBeNull);
    await halving(some, (part) => select(client, text, part), unfitReason, {
      done: (part, rows) => outcome.found.push(...part.map((item, i) => ({ item, rows: rows[i] ?? [] }))),
      unfit: (item, reason) => outcome.unfit.push({ item, reason }),
    });
  }
  return outcome;
}

/** An error must not end the transaction, and with it the snapshot. */
async function select(client: PostgresClient, text: string, items: readonly Bound[]): Promise<FoundRow[][]> {
  const count = items[0]?.values.length ?? 0;
  const arrays = Array.from({ length: count }, (_, i) =>
    textArrayLiteral(items.map(({ values }) => values[i] ?? null)),
  );
  const values = [textArrayLiteral(items.map(() => "")), ...arrays];
  await client.query("SAVEPOINT _rejot_batch");
  try {
    const { rows } = await client.query<[string, string | null, ...(string | null)[]]>({
      text,
      values,
      rowMode: "array",
    });
    await client.query("RELEASE _rejot_batch");
    const found: FoundRow[][] = items.map(() => []);
    for (const [number, identity, ...same] of rows)
      if (identity !== null) found[Number(number) - 1]?.push({ identity, same: same.map((s) => s === "t") });
    return found;
  } catch (error) {
    if (sqlState(error) !== undefined) await client.query("ROLLBACK TO _rejot_batch");
    throw error;
  }
}
