import type { Node, SqlTemplate } from "../../../shared/postgres/sql/template.ts";
import type {
  DerivedColumn,
  DerivedRows,
  StatementFacts,
  TableFacts,
  UncomparedColumn,
  Underivable,
} from "./derived-rows.ts";
import { type Expression, insertedExpressions } from "./inserted-expressions.ts";
import { impurity } from "./pure-expression.ts";
import { namesOf, sameTree } from "./tree.ts";

/** A table as a statement names it. */
export interface WrittenTable {
  readonly schema: string | undefined;
  readonly name: string;
}

/** The table that an INSERT or DELETE is for; undefined for other statements. */
export function writtenTable(template: SqlTemplate): WrittenTable | undefined {
  if (template.kind !== "InsertStmt" && template.kind !== "DeleteStmt") return undefined;
  return namedTable(template.statement.relation as Node);
}

/** The table of a RangeVar. */
export function namedTable(relation: Node): WrittenTable {
  return { schema: relation.schemaname as string | undefined, name: String(relation.relname) };
}

/**
 * Reads out of a consumer schema's `sql` which row an event makes: for a plain `INSERT … ON CONFLICT (key) DO UPDATE`
 * every column that an insert and an update set to the same, and that depends on the event alone; else only whether
 * the row is there; else why it cannot be told.
 */
export async function deriveUpsert(
  template: SqlTemplate,
  facts: StatementFacts,
): Promise<DerivedRows | Underivable> {
  try {
    return await derive(template, facts);
  } catch (error) {
    if (error instanceof NotDerivable) return { kind: "underivable", reason: error.message };
    throw error;
  }
}

class NotDerivable extends Error {}

async function derive(template: SqlTemplate, facts: StatementFacts): Promise<DerivedRows> {
  const { kind, statement } = template;
  if (kind !== "InsertStmt")
    throw new NotDerivable(`it is no INSERT but ${kind.replace(/Stmt$/, "").toUpperCase()}`);
  if (statement.withClause !== undefined) throw new NotDerivable("it has a WITH clause");
  if (statement.override === "OVERRIDING_USER_VALUE")
    throw new NotDerivable("it says OVERRIDING USER VALUE, which takes values from a sequence");
  const source = sourceOf(statement);
  const { table } = facts;
  if (table === undefined)
    throw new NotDerivable(`it writes to ${relationName(statement)}, which is no table`);
  const columns = columnsOf(statement, table, source.nodes.length);
  const expressions = await insertedExpressions(template, source.nodes, source.aliased);
  if (expressions === undefined) throw new NotDerivable("its expressions could not be told apart");
  const inserted = new Map(
    columns.map((column, i) => [column, inserting(template, facts, column, expressions[i] as Expression)]),
  );
  const conflict = statement.onConflictClause as Node | undefined;
  const key = keyColumns(conflict, table).map((column) => keyColumn(column, inserted));
  const oneToOne = facts.keyFields.every((field) => key.some((column) => column.field === field));
  const written = updating(conflict, inserted, key);
  const presenceOnly = presenceOnlyReason(conflict, oneToOne);
  const all = [...written.compared, ...written.uncompared].map(({ column }) => column);
  return {
    kind: "rows",
    table,
    key,
    oneToOne,
    ...(presenceOnly === undefined
      ? written
      : {
          presenceOnly,
          compared: [],
          uncompared: all
            .filter((column) => !key.some((k) => k.column === column))
            .map((column) => ({ column, reason: presenceOnly })),
        }),
  };
}

function relationName(statement: Node): string {
  const { schemaname, relname } = statement.relation as Node;
  return schemaname === undefined ? String(relname) : `${schemaname}.${relname}`;
}

/** The one row of expressions that is inserted. */
function sourceOf(statement: Node): { nodes: readonly Node[]; aliased: readonly boolean[] } {
  const select = (statement.selectStmt as Node | undefined)?.SelectStmt as Node | undefined;
  if (select === undefined) throw new NotDerivable("it inserts DEFAULT VALUES");
  const rows = (select.valuesLists as Node[] | undefined) ?? [];
  if (rows.length > 1) throw new NotDerivable("it inserts several rows for an event");
  const clauses = [
    ["withClause", "a WITH clause"],
    ["fromClause", "a FROM clause"],
    ["whereClause", "a WHERE clause"],
    ["groupClause", "GROUP BY"],
    ["havingClause", "HAVING"],
    ["distinctClause", "DISTINCT"],
    ["larg", "UNION or the like"],
    ["limitCount", "LIMIT"],
    ["limitOffset", "OFFSET"],
  ] as const;
  const clause = clauses.find(([name]) => select[name] !== undefined);
  if (clause !== undefined) throw new NotDerivable(`what it inserts is a SELECT with ${clause[1]}`);
  if (rows.length === 1) {
    const nodes = (rows[0]?.List as { items?: Node[] } | undefined)?.items ?? [];
    return { nodes, aliased: nodes.map(() => false) };
  }
  const targets = ((select.targetList as Node[] | undefined) ?? []).map((target) => target.ResTarget as Node);
  return {
    nodes: targets.map((target) => target.val as Node),
    aliased: targets.map((target) => target.name !== undefined),
  };
}

function columnsOf(statement: Node, table: TableFacts, count: number): readonly string[] {
  const list = statement.cols as Node[] | undefined;
  if (list === undefined) {
    if (count > table.columns.length) throw new NotDerivable("it inserts more values than there are columns");
    return table.columns.slice(0, count);
  }
  return list.map((item) => {
    const target = item.ResTarget as Node;
    if (target.indirection !== undefined)
      throw new NotDerivable(`it inserts only a part of the column ${target.name}`);
    return String(target.name);
  });
}

/** What an INSERT gives a column: an expression that depends on the event alone, or why not. */
type Inserting = { readonly derived: DerivedColumn; readonly reason: string | undefined };

function inserting(
  template: SqlTemplate,
  facts: StatementFacts,
  column: string,
  expression: Expression,
): Inserting {
  const reason = impurity(expression.node, facts.functions);
  const field = bareField(template, expression.node, facts.fields);
  return { derived: { column, expression, field }, reason };
}

/** The field of a placeholder that stands alone; a cast of it tells its type and changes nothing. */
export function bareField(template: SqlTemplate, node: Node, fields: readonly string[]): string | undefined {
  const cast = node.TypeCast as Node | undefined;
  const isPlainCast = (cast?.typeName as Node | undefined)?.typmods === undefined;
  const parameter = (cast === undefined ? node : (cast.arg as Node)).ParamRef as Node | undefined;
  if (parameter === undefined || !isPlainCast) return undefined;
  const name = template.nameOf(Number(parameter.number));
  return template.style === "positional" ? fields[Number(name) - 1] : name;
}

/** The columns by which a row is found. */
function keyColumns(conflict: Node | undefined, table: TableFacts): readonly string[] {
  const infer = conflict?.infer as Node | undefined;
  if (infer === undefined) {
    if (table.primaryKey.length > 0) return table.primaryKey;
    throw new NotDerivable(`it names no conflict target, and ${table.name} has no primary key`);
  }
  if (infer.conname !== undefined) {
    const columns = table.constraints.get(String(infer.conname));
    if (columns !== undefined) return columns;
    throw new NotDerivable(`its conflict target ${infer.conname} is no unique constraint of ${table.name}`);
  }
  if (infer.whereClause !== undefined)
    throw new NotDerivable("its conflict target is a part of the rows only (WHERE)");
  return (infer.indexElems as Node[]).map((item) => {
    const { name, collation, opclass } = item.IndexElem as Node;
    if (typeof name !== "string" || collation !== undefined || opclass !== undefined)
      throw new NotDerivable("its conflict target is an expression, not columns");
    return name;
  });
}

function keyColumn(column: string, inserted: ReadonlyMap<string, Inserting>): DerivedColumn {
  const found = inserted.get(column);
  if (found === undefined) throw new NotDerivable(`its key column ${column} is not inserted`);
  if (found.reason === undefined) return found.derived;
  throw new NotDerivable(`its key column ${column} does not follow from the event: ${found.reason}`);
}

interface Written {
  readonly compared: readonly DerivedColumn[];
  readonly uncompared: readonly UncomparedColumn[];
}

/** Which of the columns written an update leaves as an insert would. */
function updating(
  conflict: Node | undefined,
  inserted: ReadonlyMap<string, Inserting>,
  key: readonly DerivedColumn[],
): Written {
  const compared: DerivedColumn[] = [];
  const uncompared: UncomparedColumn[] = [];
  const updates = updatesOf(conflict);
  for (const [column, { derived, reason }] of inserted) {
    const isKey = key.includes(derived);
    const update = updates.get(column);
    if (update === undefined && isKey) continue;
    const why = update === undefined ? "an update leaves it as it is" : unlikeInsert(column, update, derived);
    if (isKey && why !== undefined)
      throw new NotDerivable(`an update may change its key column ${column}: ${why}`);
    const problem = why ?? reason;
    if (problem === undefined) compared.push(derived);
    else uncompared.push({ column, reason: problem });
  }
  for (const column of updates.keys()) {
    if (!inserted.has(column)) uncompared.push({ column, reason: "an insert does not give it" });
  }
  return { compared, uncompared };
}

/** What DO UPDATE SET gives each column; null for what is not looked into, such as a part of a column. */
function updatesOf(conflict: Node | undefined): Map<string, Node | null> {
  const updates = new Map<string, Node | null>();
  for (const item of (conflict?.targetList as Node[] | undefined) ?? []) {
    const { name, indirection, val } = item.ResTarget as Node;
    updates.set(String(name), indirection === undefined ? updateValue(val as Node) : null);
  }
  return updates;
}

/** `(a, b) = (x, y)` has the whole row at each of its columns. */
function updateValue(value: Node): Node | null {
  const part = value.MultiAssignRef as Node | undefined;
  if (part === undefined) return value;
  const row = (part.source as Node).RowExpr as Node | undefined;
  return (row?.args as Node[] | undefined)?.[Number(part.colno) - 1] ?? null;
}

function unlikeInsert(
  column: string,
  update: Node | null,
  { expression }: DerivedColumn,
): string | undefined {
  if (update === null) return "an update sets it in a way that is not looked into";
  const reference = namesOf((update.ColumnRef as Node | undefined)?.fields);
  if (reference?.length === 2 && reference[0] === "excluded" && reference[1] === column) return undefined;
  if (sameTree(update, expression.node)) return undefined;
  return refersToRow(update)
    ? "an update makes it of the value that was there"
    : "an update sets it to something else than an insert";
}

/** Whether an expression reads a column other than of EXCLUDED, or a subquery. */
function refersToRow(tree: unknown): boolean {
  if (tree === null || typeof tree !== "object") return false;
  return Object.entries(tree).some(([kind, value]) => {
    if (kind === "ColumnRef") return namesOf((value as Node).fields)?.[0] !== "excluded";
    return refersToRow(value);
  });
}

function presenceOnlyReason(conflict: Node | undefined, oneToOne: boolean): string | undefined {
  if (conflict === undefined) return "the statement only inserts";
  if (conflict.action === "ONCONFLICT_NOTHING") return "what is there is left as it is (DO NOTHING)";
  if (conflict.whereClause !== undefined) return "an update depends on a condition (DO UPDATE … WHERE)";
  return oneToOne
    ? undefined
    : "several events may share a row: its key does not show all of the event's key";
}
