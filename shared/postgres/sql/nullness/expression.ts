import type { Node } from "../template.ts";
import {
  maybe,
  NEVER,
  type NullFacts,
  type Nullness,
  resolveColumn,
  type Scope,
  stringsOf,
  UNKNOWN,
} from "./nullness.ts";

/** What an expression is looked at with. */
export interface ExpressionContext {
  readonly scope: Scope;
  readonly facts: NullFacts;
  /** Name of the placeholder that a parameter's number stands for. */
  readonly nameOf: (parameter: number) => string;
  /** The SELECT has GROUP BY: each group has rows. */
  readonly grouped: boolean;
  /** The one value of a subquery that stands for a value. */
  readonly subquery: (select: Node, scope: Scope) => Nullness;
}

/** Functions that give a value whatever they are given. */
const NEVER_NULL =
  /^(count|concat|jsonb?_build_(object|array)|now|clock_timestamp|statement_timestamp|transaction_timestamp|gen_random_uuid|random|row_number|rank|dense_rank)$/;

/** Operators that look a part up, which may be missing without the whole being null. */
const LOOKING_UP = new Set(["->", "->>", "#>", "#>>"]);

/** Whether an expression can be null. */
export function nullnessOf(value: Node, context: ExpressionContext): Nullness {
  const [kind, node] = Object.entries(value)[0] as [string, Node];
  const of = (part: unknown) => nullnessOf(part as Node, context);
  switch (kind) {
    case "ColumnRef":
      return columnNullness(node, context.scope);
    case "ParamRef":
      return context.facts.placeholder(context.nameOf(Number(node.number)));
    case "A_Const":
      return node.isnull === true ? maybe("it is NULL") : NEVER;
    case "TypeCast":
    case "CollateClause":
      return of(node.arg);
    case "CoalesceExpr":
    case "MinMaxExpr":
      return firstThatIs((node.args as Node[]).map(of));
    case "A_Expr":
      return operatorNullness(node, of);
    case "BoolExpr":
      // x IS NOT NULL AND x > 3 is never null though one of its parts may be.
      return node.boolop === "NOT_EXPR" ? of((node.args as Node[])[0]) : UNKNOWN;
    case "CaseExpr":
      return caseNullness(node);
    case "FuncCall":
      return callNullness(node, context, of);
    case "SubLink":
      return subLinkNullness(node, context);
    case "NullTest":
    case "BooleanTest":
    case "A_ArrayExpr":
    case "RowExpr":
    case "SQLValueFunction":
    case "GroupingFunc":
      return NEVER;
    default:
      return UNKNOWN;
  }
}

function columnNullness(reference: Node, scope: Scope): Nullness {
  const found = resolveColumn(reference, scope);
  if (found === undefined) return UNKNOWN;
  const { source, column } = found;
  if (source.outer) {
    return maybe(`${source.name} stands on the side of an outer join that may be missing`);
  }
  return source.columns?.get(column) ?? UNKNOWN;
}

/** The first of several values that is not null: null when all are. */
function firstThatIs(values: readonly Nullness[]): Nullness {
  if (values.some((value) => value.kind === "never")) return NEVER;
  const last = values.at(-1);
  return last !== undefined && values.every((value) => value.kind === "maybe") ? last : UNKNOWN;
}

/** Null as soon as one part is, as of operators and strict functions. */
function anyOf(parts: readonly Nullness[]): Nullness {
  const found = parts.find((part) => part.kind === "maybe");
  if (found !== undefined) return found;
  return parts.every((part) => part.kind === "never") ? NEVER : UNKNOWN;
}

function operatorNullness(node: Node, of: (part: unknown) => Nullness): Nullness {
  if (node.kind === "AEXPR_NULLIF") return maybe("nullif gives null where both are equal");
  if (node.kind === "AEXPR_DISTINCT" || node.kind === "AEXPR_NOT_DISTINCT") return NEVER;
  const sides = [node.lexpr, node.rexpr].filter((side) => side !== undefined && !("List" in (side as Node)));
  const result = anyOf(sides.map(of));
  const looksUp = stringsOf(node.name).some((name) => LOOKING_UP.has(name));
  return looksUp && result.kind === "never" ? UNKNOWN : result;
}

/** A branch's own value is chosen by its condition, which may be that it is not null. */
function caseNullness(node: Node): Nullness {
  const isNull = (value: unknown) =>
    ((value as Node | undefined)?.A_Const as Node | undefined)?.isnull === true;
  if (node.defresult === undefined) return maybe("CASE without ELSE gives null where no branch applies");
  const results = (node.args as Node[]).map((when) => (when.CaseWhen as Node).result);
  return [node.defresult, ...results].some(isNull) ? maybe("a branch of CASE is NULL") : UNKNOWN;
}

function callNullness(
  call: Node,
  { facts, grouped }: ExpressionContext,
  of: (part: unknown) => Nullness,
): Nullness {
  const name = stringsOf(call.funcname).at(-1) ?? "";
  const args = (call.args as Node[] | undefined) ?? [];
  if (NEVER_NULL.test(name)) return NEVER;
  const known = facts.function(name);
  if (known === undefined || call.over !== undefined) return UNKNOWN;
  if (known.aggregate) {
    if (call.agg_filter !== undefined) return maybe(`${name} gives null where FILTER leaves no row`);
    if (!grouped) return maybe(`${name} over no rows gives null`);
    const argument = args[0] === undefined ? UNKNOWN : of(args[0]);
    return argument.kind === "never" ? NEVER : UNKNOWN;
  }
  const result = known.strict ? anyOf(args.map(of)) : UNKNOWN;
  // A strict function may have reasons of its own to give null.
  return result.kind === "maybe" ? result : UNKNOWN;
}

function subLinkNullness(link: Node, context: ExpressionContext): Nullness {
  if (link.subLinkType === "EXISTS_SUBLINK" || link.subLinkType === "ARRAY_SUBLINK") return NEVER;
  const select = (link.subselect as Node).SelectStmt as Node | undefined;
  return link.subLinkType === "EXPR_SUBLINK" && select !== undefined
    ? context.subquery(select, context.scope)
    : UNKNOWN;
}
