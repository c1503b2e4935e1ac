import type { Node, SqlTemplate } from "./template.ts";

/**
 * Whether a statement itself calls set_config: that takes back the role that others' SQL is to run as, or its read-only
 * transaction. What functions do that it calls is not seen.
 */
export function changesSettings({ statement }: Pick<SqlTemplate, "statement">): boolean {
  return callsSetConfig(statement);
}

function callsSetConfig(node: unknown): boolean {
  if (node === null || typeof node !== "object") return false;
  return Object.entries(node).some(
    ([kind, value]) =>
      (kind === "FuncCall" && nameOf(value as Node) === "set_config") || callsSetConfig(value),
  );
}

function nameOf({ funcname }: Node): unknown {
  const names = (funcname as Node[] | undefined) ?? [];
  return (names.at(-1)?.String as Node | undefined)?.sval;
}
