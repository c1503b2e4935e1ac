import { outputName } from "../select-shape.ts";
import type { Node, SqlTemplate } from "../template.ts";
import { type ExpressionContext, nullnessOf } from "./expression.ts";
import {
  maybe,
  NEVER,
  type NullFacts,
  type Nullness,
  resolveColumn,
  type Scope,
  type Source,
  stringsOf,
  UNKNOWN,
} from "./nullness.ts";

/**
 * Whether the columns that a SELECT gives can be null, by name, as far as the statement and the catalogue show.
 * Columns that are not in the map are not known: what a star brings of something that is no table, for example.
 */
export function outputNullness(template: SqlTemplate, facts: NullFacts): ReadonlyMap<string, Nullness> {
  if (template.kind !== "SelectStmt") return new Map();
  return new Analysis(facts, template.nameOf).columns(template.statement, undefined) ?? new Map();
}

class Analysis {
  readonly #facts: NullFacts;
  readonly #nameOf: (parameter: number) => string;

  constructor(facts: NullFacts, nameOf: (parameter: number) => string) {
    this.#facts = facts;
    this.#nameOf = nameOf;
  }

  /** Undefined where the columns' names are not known. */
  columns(select: Node, around: Scope | undefined): Map<string, Nullness> | undefined {
    if (select.valuesLists !== undefined) return undefined;
    if (select.larg !== undefined) return this.#both(select, around);
    const scope = this.#scopeOf(select, around);
    const context = this.#context(select, scope);
    const result = new Map<string, Nullness>();
    for (const item of (select.targetList as Node[] | undefined) ?? []) {
      const target = item.ResTarget as Node;
      const name = outputName(target);
      if (name !== undefined) result.set(name, nullnessOf(target.val as Node, context));
      else if (!addStar(target.val as Node, scope, result)) return undefined;
    }
    return result;
  }

  /** UNION and the like: a column is as null as in either part. Names are those of the first. */
  #both(select: Node, around: Scope | undefined): Map<string, Nullness> | undefined {
    if (select.withClause !== undefined) return undefined;
    const left = this.columns(select.larg as Node, around);
    const right = this.columns(select.rarg as Node, around);
    if (left === undefined || right === undefined || left.size !== right.size) return undefined;
    const others = [...right.values()];
    return new Map(
      [...left].map(([name, nullness], i) => [
        name,
        nullness.kind === "maybe" ? nullness : (others[i] ?? UNKNOWN),
      ]),
    );
  }

  #context(select: Node, scope: Scope): ExpressionContext {
    return {
      scope,
      facts: this.#facts,
      nameOf: this.#nameOf,
      grouped: select.groupClause !== undefined,
      subquery: (inner, innerAround) => this.#single(inner, innerAround),
    };
  }

  /** A subquery in place of a value: no row is null, unless it aggregates all rows into one or has no FROM. */
  #single(select: Node, around: Scope): Nullness {
    const first = [...(this.columns(select, around)?.values() ?? [])][0] ?? UNKNOWN;
    const always =
      select.whereClause === undefined && select.fromClause === undefined && select.larg === undefined;
    if (always || this.#aggregatesAll(select)) return first;
    return first.kind === "maybe" ? first : maybe("a subquery that finds no row gives null");
  }

  #aggregatesAll(select: Node): boolean {
    if (select.groupClause !== undefined || select.havingClause !== undefined) return false;
    if (select.limitCount !== undefined || select.limitOffset !== undefined) return false;
    return callsOf(select.targetList).some(
      (call) =>
        call.over === undefined &&
        this.#facts.function(stringsOf(call.funcname).at(-1) ?? "")?.aggregate === true,
    );
  }

  #scopeOf(select: Node, around: Scope | undefined): Scope {
    const withQueries = new Map<string, Map<string, Nullness> | undefined>();
    const outer: Scope = { sources: [], withQueries, around };
    const clause = select.withClause as Node | undefined;
    for (const item of (clause?.ctes as Node[] | undefined) ?? []) {
      const cte = item.CommonTableExpr as Node;
      const query = (cte.ctequery as Node).SelectStmt as Node | undefined;
      const known = clause?.recursive !== true && cte.aliascolnames === undefined && query !== undefined;
      withQueries.set(String(cte.ctename), known ? this.columns(query, outer) : undefined);
    }
    const sources: Source[] = [];
    const scope: Scope = { sources, withQueries, around };
    for (const item of (select.fromClause as Node[] | undefined) ?? []) this.#addFrom(item, scope, sources);
    refine(select.whereClause as Node | undefined, scope);
    return scope;
  }

  #addFrom(item: Node, scope: Scope, sources: Source[]): void {
    const [kind, node] = Object.entries(item)[0] as [string, Node];
    const alias = node.alias as Node | undefined;
    if (kind === "JoinExpr" && alias === undefined) {
      this.#addJoin(node, scope, sources);
      return;
    }
    const renamed = alias?.colnames !== undefined;
    const name = String(alias?.aliasname ?? node.relname ?? "");
    const columns = renamed ? undefined : this.#columnsOf(kind, node, scope);
    sources.push({ name, columns: columns === undefined ? undefined : new Map(columns), outer: false });
  }

  #addJoin(join: Node, scope: Scope, sources: Source[]): void {
    const start = sources.length;
    this.#addFrom(join.larg as Node, scope, sources);
    const middle = sources.length;
    this.#addFrom(join.rarg as Node, scope, sources);
    const type = join.jointype;
    if (type === "JOIN_INNER") refine(join.quals as Node | undefined, scope);
    if (type === "JOIN_RIGHT" || type === "JOIN_FULL") markOuter(sources.slice(start, middle));
    const alwaysOneRow = type === "JOIN_LEFT" && this.#givesOneRow(join);
    if ((type === "JOIN_LEFT" && !alwaysOneRow) || type === "JOIN_FULL") markOuter(sources.slice(middle));
  }

  /** LEFT JOIN LATERAL (SELECT count(*) …) ON true is never missing. */
  #givesOneRow(join: Node): boolean {
    const subquery = (join.rarg as Node).RangeSubselect as Node | undefined;
    const select = (subquery?.subquery as Node | undefined)?.SelectStmt as Node | undefined;
    const constant = ((join.quals as Node | undefined)?.A_Const as Node | undefined)?.boolval as
      | Node
      | undefined;
    return select !== undefined && constant?.boolval === true && this.#aggregatesAll(select);
  }

  #columnsOf(kind: string, node: Node, scope: Scope): Map<string, Nullness> | undefined {
    if (kind === "RangeSubselect") {
      const select = (node.subquery as Node).SelectStmt as Node | undefined;
      return select === undefined ? undefined : this.columns(select, scope);
    }
    if (kind !== "RangeVar") return undefined;
    const name = String(node.relname);
    const schema = node.schemaname as string | undefined;
    if (schema === undefined) {
      for (let s: Scope | undefined = scope; s !== undefined; s = s.around)
        if (s.withQueries.has(name)) return s.withQueries.get(name);
    }
    const columns = this.#facts.table(schema, name);
    if (columns === undefined) return undefined;
    const said = (column: string, is: string) =>
      is === "not null" ? NEVER : maybe(`${name}.${column} has no NOT NULL`);
    return new Map([...columns].map(([column, is]) => [column, said(column, is)]));
  }
}

function markOuter(sources: readonly Source[]): void {
  for (const source of sources) source.outer = true;
}

/** Adds the columns of `*` or `a.*`; false where they are not known. */
function addStar(value: Node, { sources }: Scope, result: Map<string, Nullness>): boolean {
  const qualifier = stringsOf((value.ColumnRef as Node | undefined)?.fields).at(-1);
  for (const source of sources.filter((s) => qualifier === undefined || s.name === qualifier)) {
    if (source.columns === undefined) return false;
    for (const [name, nullness] of source.columns) {
      const outer = maybe(`${source.name} stands on the side of an outer join that may be missing`);
      result.set(name, source.outer ? outer : nullness);
    }
  }
  return true;
}

/** What a condition that holds says: the columns it compares are not null, and their side of a join is there. */
function refine(condition: Node | undefined, scope: Scope): void {
  if (condition === undefined) return;
  const bool = condition.BoolExpr as Node | undefined;
  if (bool?.boolop === "AND_EXPR") {
    for (const part of bool.args as Node[]) refine(part, scope);
    return;
  }
  for (const reference of strictColumns(condition)) {
    const found = resolveColumn(reference, { ...scope, around: undefined });
    if (found === undefined) continue;
    found.source.outer = false;
    found.source.columns?.set(found.column, NEVER);
  }
}

function strictColumns(condition: Node): Node[] {
  const test = condition.NullTest as Node | undefined;
  if (test !== undefined) return test.nulltesttype === "IS_NOT_NULL" ? columnIn(test.arg) : [];
  const expression = condition.A_Expr as Node | undefined;
  if (expression === undefined || /NULLIF|DISTINCT/.test(String(expression.kind))) return [];
  return [...columnIn(expression.lexpr), ...columnIn(expression.rexpr)];
}

function columnIn(side: unknown): Node[] {
  const node = side as Node | undefined;
  const cast = node?.TypeCast as Node | undefined;
  if (cast !== undefined) return columnIn(cast.arg);
  const reference = node?.ColumnRef as Node | undefined;
  return reference === undefined ? [] : [reference];
}

/** The function calls of an expression, those of its subqueries left out. */
function callsOf(tree: unknown): Node[] {
  if (tree === null || typeof tree !== "object") return [];
  return Object.entries(tree).flatMap(([kind, value]) => {
    if (kind === "SubLink") return [];
    const own = kind === "FuncCall" ? [value as Node] : [];
    return [...own, ...callsOf(value)];
  });
}
