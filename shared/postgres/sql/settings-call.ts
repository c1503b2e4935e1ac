import { strings, walk } from "./select-shape.ts";
import type { SqlTemplate } from "./template.ts";

/**
 * Whether a statement itself calls set_config: that takes back the role that others' SQL is to run as, or its read-only
 * transaction. What functions do that it calls is not seen.
 */
export function changesSettings({ statement }: Pick<SqlTemplate, "statement">): boolean {
  let changes = false;
  walk(statement, (kind, { funcname }) => {
    if (kind === "FuncCall" && strings(funcname).at(-1) === "set_config") changes = true;
  });
  return changes;
}
