import type { Node } from "../../../shared/postgres/sql/template.ts";
import { eachNode, namesOf } from "./tree.ts";

/** What the catalogue says of all functions that a name may mean. */
export interface FunctionFacts {
  /** The most changeable of them. */
  readonly volatility: "immutable" | "stable" | "volatile";
  /** Whether they all come with Postgres. */
  readonly builtIn: boolean;
  /** Whether any gives rows or is an aggregate. */
  readonly special: boolean;
}

/** Functions and operators by their name as it is written: `lower`, `app.slug`, `||`. */
export type KnownFunctions = ReadonlyMap<string, FunctionFacts>;

/** Parts of an expression that give the same whenever they are evaluated, if all that they hold does. */
const PURE_KINDS = new Set(
  `ParamRef A_Const TypeCast TypeName FuncCall A_Expr BoolExpr NullTest BooleanTest CaseExpr CaseWhen CoalesceExpr
   MinMaxExpr A_ArrayExpr RowExpr A_Indirection A_Indices CollateClause NamedArgExpr List String Integer Float Boolean
   BitString JsonObjectConstructor JsonArrayConstructor JsonKeyValue JsonValueExpr JsonFormat JsonOutput JsonReturning
   XmlExpr XmlSerialize ResTarget`.split(/\s+/),
);

/**
 * Functions of Postgres that count as stable, and give another value in another session, at another time or on other
 * data: they are the same only within one statement.
 */
const SITUATION =
  /^(now|(transaction|statement|clock)_timestamp|age1|timeofday|current_\w+|session_user|user|version|txid_\w+|pg_\w+|has_\w+|(obj|col|shobj)_description|to_reg\w+|inet_(client|server)_\w+|row_security_active|getdatabaseencoding|\w+_to_xml\w*)$/;

/** Texts that name a moment when a date or time is read from them. */
const MOMENT = /^\s*(now|today|tomorrow|yesterday)\b/i;

/** The names of the functions and operators of an expression, as `KnownFunctions` lists them. */
export function calledNames(tree: unknown): string[] {
  const called: string[] = [];
  eachNode(tree, (kind, node) => {
    const list = kind === "FuncCall" ? node.funcname : kind === "A_Expr" ? node.name : undefined;
    const name = namesOf(list)?.join(".");
    if (name !== undefined && name !== "") called.push(name);
  });
  return called;
}

/** Why an expression may give another value when it is evaluated again; undefined for one that does not. */
export function impurity(expression: Node, known: KnownFunctions): string | undefined {
  let reason: string | undefined;
  eachNode(expression, (kind, node) => {
    reason ??= impureNode(kind, node, known);
  });
  return reason;
}

function impureNode(kind: string, node: Node, known: KnownFunctions): string | undefined {
  if (kind === "SetToDefault") return "it gets the column's default";
  if (kind === "SubLink") return "it comes from a subquery";
  if (kind === "SQLValueFunction") return `it calls ${sqlValueName(node)}`;
  if (kind === "ColumnRef") return "it comes from another column";
  if (!PURE_KINDS.has(kind)) return `it is made in a way that is not looked into (${kind})`;
  if (kind === "FuncCall") return impureCall(node, known);
  if (kind === "A_Const" && MOMENT.test(String((node.sval as Node | undefined)?.sval ?? "")))
    return "it names a moment";
  if (kind !== "A_Expr") return undefined;
  const facts = known.get(namesOf(node.name)?.join(".") ?? "");
  return facts === undefined || isPure(facts) ? undefined : "it uses an operator that is not immutable";
}

function impureCall(call: Node, known: KnownFunctions): string | undefined {
  const names = namesOf(call.funcname) ?? [];
  const name = names.join(".");
  const plain = ["agg_order", "agg_filter", "over", "agg_star", "agg_distinct", "agg_within_group"];
  if (plain.some((part) => call[part] !== undefined)) return `it calls ${name} as an aggregate`;
  const facts = known.get(name);
  if (facts === undefined) return `it calls ${name}, which is not known`;
  if (facts.special) return `it calls ${name}, which is an aggregate or gives rows`;
  const args = (call.args as unknown[] | undefined)?.length ?? 0;
  const last = names.at(-1) ?? "";
  const situation = facts.builtIn && (SITUATION.test(last) || SITUATION.test(`${last}${args}`));
  if (facts.volatility === "volatile") return `it calls ${name}, which is volatile`;
  if (situation) return `it calls ${name}, which tells of the moment`;
  return isPure(facts) ? undefined : `it calls ${name}, which is not immutable`;
}

/** What a team wrote and calls stable may read its tables. */
function isPure({ volatility, builtIn }: FunctionFacts): boolean {
  return volatility === "immutable" || (volatility === "stable" && builtIn);
}

function sqlValueName(node: Node): string {
  return String(node.op)
    .replace(/^SVFOP_/, "")
    .replace(/_N$/, "");
}
