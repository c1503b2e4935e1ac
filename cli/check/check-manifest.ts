import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { checkWorkspace, type ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { withoutDatabase } from "./depth.ts";
import { checkReaders, checkStatements, type StatementFindings } from "./static-check.ts";

/** Where statements are prepared. */
export interface CheckOptions {
  /** Secrets of the data stores' own connections. */
  readonly env: Environment;
  /** Values of `--database`: `URL` for all data stores, `<data store>=URL` for one. false: no database is asked. */
  readonly databases: readonly string[] | false;
  /** A data store's own database that cannot be asked is an error; else a warning says what was not looked at. */
  readonly requireDatabase?: boolean;
}

/**
 * Checks a manifest alone, against the other manifests of its workspace, and on its databases. A statement that is
 * wrong without a database is not looked at on one: its errors would only follow from that.
 * Everything found is a diagnostic, also a database of `databases` that cannot be reached.
 */
export async function checkManifest(
  target: LoadedManifest,
  others: readonly LoadedManifest[],
  options: CheckOptions,
): Promise<Diagnostic[]> {
  const { diagnostics, publicSchemas } = await checkWorkspace([target, ...others]);
  diagnostics.push(...(await checkReaders(target, others, publicSchemas)));
  // What this manifest breaks elsewhere is its business; what others could do better is not.
  const isOurs = (d: Diagnostic) => d.severity === "error" || d.manifest === target.manifest.slug;
  const statements = await checkStatements(target, publicSchemas);
  const deeper =
    options.databases === false
      ? withoutDatabase(target)
      : await onDatabases(target, publicSchemas, statements, { ...options, databases: options.databases });
  return withoutRepetition([...diagnostics.filter(isOurs), ...statements.diagnostics, ...deeper]);
}

async function onDatabases(
  loaded: LoadedManifest,
  publicSchemas: readonly ResolvedPublicSchema[],
  { broken }: StatementFindings,
  {
    env,
    databases: named,
    requireDatabase: required = false,
  }: CheckOptions & { databases: readonly string[] },
): Promise<Diagnostic[]> {
  // The Postgres client and the connectors' planners, which no other command waits for.
  const { CheckDatabases } = await import("./postgres-databases.ts");
  const { checkOnDatabases } = await import("./postgres-check.ts");
  await using databases = new CheckDatabases(loaded, { env, named, required });
  const found = await checkOnDatabases({ loaded, publicSchemas, open: databases.open, broken });
  return [...databases.diagnostics, ...found];
}

/** A column that nobody declared is seen in the SQL and again in what the database answers. */
function withoutRepetition(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return [...new Map(diagnostics.map((d) => [JSON.stringify(d), d])).values()];
}
