import type { Expression } from "./inserted-expressions.ts";
import type { KnownFunctions } from "./pure-expression.ts";

/** A table as the catalogue of the destination describes it. */
export interface TableFacts {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** In the table's order: an INSERT without a list of columns counts these. */
  readonly columns: readonly string[];
  readonly primaryKey: readonly string[];
  /** Columns of primary keys and unique constraints by the constraint's name. */
  readonly constraints: ReadonlyMap<string, readonly string[]>;
}

/** What is known of a destination and of the events, for reading a consumer schema's statements. */
export interface StatementFacts {
  /** The table that the statement names; undefined when there is none of that name, or it is no table. */
  readonly table: TableFacts | undefined;
  readonly functions: KnownFunctions;
  /** Fields of an event, and of its key, in the schema's order, which is what `$1` counts. */
  readonly fields: readonly string[];
  readonly keyFields: readonly string[];
}

/** A column whose value an event gives. */
export interface DerivedColumn {
  readonly column: string;
  readonly expression: Expression;
  /** The field that it shows as it is; undefined where the expression makes something else of it. */
  readonly field: string | undefined;
}

/** How the rows of a consumer schema follow from its events. */
export interface DerivedRows {
  readonly kind: "rows";
  readonly table: TableFacts;
  /** The columns by which an event finds its row. */
  readonly key: readonly DerivedColumn[];
  /** Whether every event has a row of its own: the key columns show all fields of the event's key. */
  readonly oneToOne: boolean;
  /** The columns that are compared; none where only the row's presence is. */
  readonly compared: readonly DerivedColumn[];
  /** The columns that the statement writes and that are not compared. */
  readonly uncompared: readonly UncomparedColumn[];
  /** Why no column is compared, only whether the row is there. */
  readonly presenceOnly?: string;
}

/** A column that is not compared, and why. */
export interface UncomparedColumn {
  readonly column: string;
  readonly reason: string;
}

/** A statement that does not tell its rows. */
export interface Underivable {
  readonly kind: "underivable";
  readonly reason: string;
}
