import { RejotError } from "../../errors/error.ts";
import { changesSettings } from "./settings-call.ts";
import { parseTemplate } from "./template.ts";

/** Parts of a parsed SELECT that are there whatever it says. */
const ALWAYS = ["limitOption", "op"];

/** A condition as it stands in a WHERE beside others: a comment at its end must not swallow what follows. */
export function bracketed(condition: string): string {
  return `(\n${condition}\n)`;
}

/**
 * Whether a text is one SQL condition without placeholders, which stays one where it stands in brackets in a WHERE.
 * It has to be one without the brackets too: what closes them itself, `a) OR (b`, would get away from the conditions
 * that it is put beside. One that changes settings could give itself another role.
 */
export async function isPlainCondition(text: string): Promise<boolean> {
  return (await isWhere(text)) && (await isWhere(bracketed(text)));
}

async function isWhere(text: string): Promise<boolean> {
  try {
    const template = await parseTemplate(`SELECT FROM t WHERE ${text}`);
    const { kind, statement, names } = template;
    if (changesSettings(template)) return false;
    const parts = Object.keys(statement).filter((part) => !ALWAYS.includes(part));
    return kind === "SelectStmt" && names.length === 0 && parts.sort().join() === "fromClause,whereClause";
  } catch (error) {
    if (error instanceof RejotError) return false;
    throw error;
  }
}
