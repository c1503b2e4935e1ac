import {
  type Node,
  parseTemplate,
  type SqlTemplate,
  scanTokens,
} from "../../../shared/postgres/sql/template.ts";
import { sameTree } from "./tree.ts";

/** A placeholder inside an expression. */
export interface ParameterUse {
  /** As in the template's `names`. */
  readonly name: string;
  /** Which use of a placeholder in the whole statement it is, from 0. */
  readonly use: number;
}

/** An expression of a statement: its text, cut where placeholders stand. */
export interface Expression {
  readonly node: Node;
  readonly parts: readonly (string | ParameterUse)[];
}

/** The text of an expression with its placeholders filled in. */
export function renderExpression({ parts }: Expression, parameter: (use: ParameterUse) => string): string {
  return parts.map((part) => (typeof part === "string" ? part : parameter(part))).join("");
}

type Token = Awaited<ReturnType<typeof scanTokens>>[number];

/**
 * The expressions that an INSERT's VALUES or its SELECT without FROM gives, in their order, with their text. Where an
 * expression ends the parse tree does not say, so the text is cut at its commas, and what was cut out is parsed again:
 * undefined unless it is the same as in the statement.
 */
export async function insertedExpressions(
  template: SqlTemplate,
  nodes: readonly Node[],
  aliased: readonly boolean[],
): Promise<readonly Expression[] | undefined> {
  const tokens = (await scanTokens(template.numbered)).filter(
    (token) => !token.tokenName.endsWith("COMMENT"),
  );
  const parameters = tokens.filter((token) => token.tokenName === "PARAM");
  const items = itemsOf(tokens).map((item, i) => (aliased[i] === true ? withoutAlias(item) : item));
  if (items.length !== nodes.length) return undefined;
  const source = Buffer.from(template.numbered);
  const expressions: Expression[] = [];
  for (const [i, item] of items.entries()) {
    const node = nodes[i] as Node;
    const [first, last] = [item[0], item.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const cut = source.subarray(first.start, last.end).toString();
    if (node.SetToDefault === undefined && !(await isExpression(cut, node))) return undefined;
    const parts: (string | ParameterUse)[] = [];
    let at = first.start;
    for (const token of item.filter((each) => each.tokenName === "PARAM")) {
      const name = template.nameOf(Number(token.text.slice(1)));
      parts.push(source.subarray(at, token.start).toString(), { name, use: parameters.indexOf(token) });
      at = token.end;
    }
    parts.push(source.subarray(at, last.end).toString());
    expressions.push({ node, parts });
  }
  return expressions;
}

async function isExpression(text: string, node: Node): Promise<boolean> {
  const { statement } = await parseTemplate(`SELECT ${text}`);
  const targets = (statement.targetList as Node[] | undefined) ?? [];
  const target = targets[0]?.ResTarget as Node | undefined;
  return targets.length === 1 && target?.name === undefined && sameTree(target?.val, node);
}

/** The tokens of each item between VALUES ( … ), or between SELECT and what follows its list. */
function itemsOf(tokens: readonly Token[]): Token[][] {
  const start = tokens.findIndex(
    (token, i) => isKeyword(token, "values", "select") && depthAt(tokens, i) === 0,
  );
  if (start < 0) return [];
  const inBrackets = isKeyword(tokens[start] as Token, "values");
  const items: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens.slice(start + (inBrackets ? 2 : 1))) {
    if (depth === 0 && (inBrackets ? token.text === ")" : isKeyword(token, "on", "returning"))) break;
    if (depth === 0 && token.text === ";") break;
    if (/^[([]$/.test(token.text)) depth++;
    if (/^[)\]]$/.test(token.text)) depth--;
    if (depth === 0 && token.text === ",") items.push([]);
    else items.at(-1)?.push(token);
  }
  return items;
}

function depthAt(tokens: readonly Token[], index: number): number {
  const before = tokens.slice(0, index);
  const count = (text: string) => before.filter((token) => token.text === text).length;
  return count("(") - count(")");
}

function isKeyword(token: Token, ...words: string[]): boolean {
  return token.keywordKind !== 0 && words.includes(token.text.toLowerCase());
}

function withoutAlias(item: Token[]): Token[] {
  const end = item.at(-2) !== undefined && isKeyword(item.at(-2) as Token, "as") ? -2 : -1;
  return item.slice(0, end);
}
