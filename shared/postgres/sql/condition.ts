import { RejotError } from "../../errors/error.ts";
import { parseTemplate } from "./template.ts";

/** Whether a text is one SQL condition without placeholders, which stays one where it stands in brackets in a WHERE. */
export async function isPlainCondition(text: string): Promise<boolean> {
  try {
    const { kind, statement, names } = await parseTemplate(`SELECT FROM t WHERE (\n${text}\n)`);
    const parts = Object.keys(statement).filter((part) => !["limitOption", "op"].includes(part));
    return kind === "SelectStmt" && names.length === 0 && parts.sort().join() === "fromClause,whereClause";
  } catch (error) {
    if (error instanceof RejotError) return false;
    throw error;
  }
}
