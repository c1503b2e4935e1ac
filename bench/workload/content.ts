import { createHash } from "node:crypto";
import type { Account } from "./accounts.ts";

/** What a table or the state of a topic holds. */
export interface Content {
  readonly rows: number;
  readonly hash: string;
}

/** The content of accounts by id, hashed as CONTENT_QUERY does it in SQL. */
export function contentOf(accounts: Iterable<Account>): Content {
  const lines = [...accounts]
    .map((account) => ({ id: BigInt(account.id ?? 0), hash: md5(line(account)) }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    rows: lines.length,
    hash: lines.length === 0 ? "" : md5(lines.map(({ hash }) => hash).join("")),
  };
}

/** Whether both are the same. */
export function sameContent(a: Content, b: Content): boolean {
  return a.rows === b.rows && a.hash === b.hash;
}

/** Participants may write the time in any form of ISO 8601; the workload's have whole seconds. */
function line(account: Account): string {
  const { id, email, first_name, last_name, balance, created_at, note } = account;
  const seconds = Date.parse(created_at ?? "") / 1000;
  return [id, email, first_name, last_name, balance, seconds, note ?? "~"].join("|");
}

function md5(text: string): string {
  return createHash("md5").update(text).digest("hex");
}
