import type { Node } from "../../../shared/postgres/sql/template.ts";

/** The values of a list of String nodes; undefined where it holds anything else, such as a star. */
export function namesOf(list: unknown): readonly string[] | undefined {
  const names = ((list as Node[] | undefined) ?? []).map((item) => (item.String as Node | undefined)?.sval);
  return names.every((name) => typeof name === "string") ? (names as string[]) : undefined;
}

/** Keys that tell where in the text a node stands, not what it is. */
const PLACES = /^(.*_)?(location|start|end)$/;

/** Whether two parts of parse trees say the same, wherever they stand. */
export function sameTree(a: unknown, b: unknown): boolean {
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = (node: object) => Object.keys(node).filter((key) => !PLACES.test(key));
  const own = keys(a);
  return (
    own.length === keys(b).length && own.every((key) => sameTree((a as Node)[key], (b as Node)[key] ?? null))
  );
}

/** Visits every node that the tree names the kind of. Kinds begin with a capital, fields do not. */
export function eachNode(tree: unknown, visit: (kind: string, node: Node) => void): void {
  if (Array.isArray(tree)) for (const item of tree) eachNode(item, visit);
  if (tree === null || typeof tree !== "object" || Array.isArray(tree)) return;
  for (const [key, value] of Object.entries(tree)) {
    if (/^[A-Z]/.test(key) && value !== null && typeof value === "object") visit(key, value as Node);
    eachNode(value, visit);
  }
}
