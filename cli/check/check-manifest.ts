import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { checkWorkspace } from "../../shared/manifest/workspace.ts";
import { checkStatements } from "./static-check.ts";

/** Where statements are prepared. */
export interface CheckOptions {
  /** Secrets of the data stores' own connections. */
  readonly env: Environment;
  /** Values of `--database`: `URL` for all data stores, `<data store>=URL` for one. */
  readonly databases: readonly string[];
}

/**
 * Checks a manifest alone, against the other manifests of its workspace, and on its databases. What is wrong
 * without a database is not looked at on one: its errors would only follow from it.
 * Throws POSTGRES_* when a database of `databases` cannot be reached; everything else is a diagnostic.
 */
export async function checkManifest(
  target: LoadedManifest,
  others: readonly LoadedManifest[],
  options: CheckOptions,
): Promise<Diagnostic[]> {
  const { diagnostics: found, publicSchemas } = await checkWorkspace([target, ...others]);
  // What this manifest breaks elsewhere is its business; what others could do better is not.
  const isOurs = (d: Diagnostic) => d.severity === "error" || d.manifest === target.manifest.slug;
  const diagnostics = found.filter(isOurs);
  diagnostics.push(...(await checkStatements(target, publicSchemas)));
  if (diagnostics.some((d) => d.severity === "error")) return diagnostics;
  // The Postgres client and the connectors' planners, which no other command waits for.
  const { CheckDatabases } = await import("./postgres-databases.ts");
  const { checkOnDatabases } = await import("./postgres-check.ts");
  await using databases = new CheckDatabases(target, options.env, options.databases);
  const onDatabases = await checkOnDatabases(target, publicSchemas, databases.open);
  return withoutRepetition([...diagnostics, ...databases.diagnostics, ...onDatabases]);
}

/** A column that nobody declared is seen in the SQL and again in what the database answers. */
function withoutRepetition(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return [...new Map(diagnostics.map((d) => [JSON.stringify(d), d])).values()];
}
