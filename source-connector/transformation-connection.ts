import type { ConnectOptions, PostgresClient } from "../shared/postgres/client.ts";
import { quoteIdentifier } from "../shared/postgres/table-info.ts";
import type { SourceConfig } from "./config.ts";

/** How much later than the server's own limit an answer may come. */
const ANSWER_MARGIN_MS = 10_000;

/** How a connection is opened that teams' SQL runs on: read-only. */
export function transformationConnection({
  rowSecurity,
  statementTimeoutMs,
}: Pick<SourceConfig, "rowSecurity" | "statementTimeoutMs">): Pick<
  ConnectOptions,
  "settings" | "queryTimeoutMs"
> {
  return {
    settings: {
      default_transaction_read_only: "on",
      row_security: rowSecurity === "refuse" ? "off" : "on",
      statement_timeout: String(statementTimeoutMs),
      // A generic plan walks the keys by index; a plan for 5,000 known keys may decide to read the whole table.
      plan_cache_mode: "force_generic_plan",
      jit: "off",
    },
    // The server ends a statement in time; when it does not say so, the connection is dead.
    ...(statementTimeoutMs === 0 ? {} : { queryTimeoutMs: statementTimeoutMs + ANSWER_MARGIN_MS }),
  };
}

/** Gives the connection the rights of the role that transformations run as, if the settings name one. */
export async function takeTransformationRole(
  client: PostgresClient,
  { transformationRole }: Pick<SourceConfig, "transformationRole">,
): Promise<void> {
  if (transformationRole !== undefined) await client.query(`SET ROLE ${quoteIdentifier(transformationRole)}`);
}
