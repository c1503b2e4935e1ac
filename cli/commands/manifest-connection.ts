import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, readManifest } from "../../shared/manifest/load.ts";
import type { Connection, Manifest } from "../../shared/manifest/schema.ts";
import { addConnectionFlags, buildConnection, type ConnectionFlags } from "../connection-options.ts";
import type { CliContext } from "../context.ts";
import { describeConnection, withoutSecrets } from "../describe.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest, updateManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { table } from "../report.ts";

type ManifestFlags = JsonFlag & { manifest?: string };
type Flags = ConnectionFlags & ManifestFlags;

/** `manifest connection add|list|remove|update`. */
export function addManifestConnection(parent: Command, context: CliContext): void {
  const group = parent.command("connection").description("the databases and Kafkas of the manifest");
  withExamples(group, "manifest connection list", "manifest connection add --help");
  addAdd(group, context);
  addList(group, context);
  addRemove(group, context);
  addUpdate(group, context);
}

function addAdd(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(addConnectionFlags(group.command("add"))))
    .description("add a connection")
    .requiredOption("--slug <slug>", "name of the connection inside the manifest")
    .action(async ({ slug, ...options }: Flags & { slug: string }) => {
      await store(context, slug, options, "added");
    });
  withExamples(
    command,
    "manifest connection add --slug db --connection-string '${DATABASE_URL}'",
    "manifest connection add --slug db --type postgres --host localhost --user app --password '${DB_PASSWORD}' --database accounts",
    "manifest connection add --slug events --type kafka --brokers localhost:9092 --schema-registry http://localhost:8081",
  );
}

function addList(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("list")))
    .description("list the connections, without their secrets")
    .action(async (options: ManifestFlags) => {
      const file = await findManifest(options.manifest);
      const { connections = [] } = await readManifest(file);
      const value = { manifest: displayPath(file), connections: connections.map(withoutSecrets) };
      const rows = connections.map((c) => [c.slug, ...describeConnection(c)]);
      printResult(context, options, value, rows.length === 0 ? "no connections" : table(rows));
    });
  withExamples(command, "manifest connection list", "manifest connection list --json");
}

function addRemove(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("remove")))
    .argument("<connection>", "slug of the connection")
    .description("remove a connection that no data store or event store uses")
    .action(async (slug: string, options: ManifestFlags) => {
      const file = await findManifest(options.manifest);
      await updateManifest(file, (manifest) => withoutConnection(manifest, slug));
      const value = { manifest: displayPath(file), removed: slug };
      printResult(context, options, value, `removed connection ${slug} from ${displayPath(file)}`);
    });
  withExamples(command, "manifest connection remove db");
}

function addUpdate(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(addConnectionFlags(group.command("update"))))
    .argument("<connection>", "slug of the connection")
    .description("replace what a connection says")
    .action(async (slug: string, flags: Flags) => {
      await store(context, slug, flags, "updated");
    });
  withExamples(command, "manifest connection update db --connection-string '${DATABASE_URL}'");
}

async function store(
  context: CliContext,
  slug: string,
  { manifest: named, json = false, ...flags }: Flags,
  verb: "added" | "updated",
): Promise<void> {
  const file = await findManifest(named);
  const { connection, warnings } = buildConnection(slug, flags);
  await updateManifest(file, (manifest) => ({
    ...manifest,
    connections:
      verb === "added"
        ? [...(manifest.connections ?? []), unused(manifest, connection)]
        : replaced(manifest, connection),
  }));
  for (const warning of warnings) context.warn(`warning: ${warning}`);
  const value = { manifest: displayPath(file), connection: withoutSecrets(connection), warnings };
  const description = describeConnection(connection).join(", ");
  printResult(
    context,
    { json },
    value,
    `${verb} connection ${slug} (${description}) in ${displayPath(file)}`,
  );
}

function unused(manifest: Manifest, connection: Connection): Connection {
  if (manifest.connections?.some((c) => c.slug === connection.slug)) {
    throw new RejotError("DUPLICATE_CONNECTION", {
      detail: `"${connection.slug}"`,
      hint: `Choose another slug, or: rejot-kafka manifest connection update ${connection.slug} …`,
    });
  }
  return connection;
}

function replaced(manifest: Manifest, connection: Connection): Connection[] {
  requireConnection(manifest, connection.slug);
  return (manifest.connections ?? []).map((c) => (c.slug === connection.slug ? connection : c));
}

function withoutConnection(manifest: Manifest, slug: string): Manifest {
  requireConnection(manifest, slug);
  const users = [
    ...(manifest.dataStores ?? []).filter((d) => d.connectionSlug === slug).map(() => "data store"),
    ...(manifest.eventStores ?? []).filter((e) => e.connectionSlug === slug).map(() => "event store"),
  ];
  if (users[0] !== undefined) {
    const kind = users[0].replace(" ", "");
    throw new RejotError("STILL_USED", {
      detail: `the ${users[0]} "${slug}" uses it`,
      hint: `First: rejot-kafka manifest ${kind} remove ${slug}`,
    });
  }
  return { ...manifest, connections: (manifest.connections ?? []).filter((c) => c.slug !== slug) };
}

/** The connection of that slug. Throws CONNECTION_NOT_FOUND, naming those there are. */
export function requireConnection(manifest: Manifest, slug: string): Connection {
  const found = manifest.connections?.find((c) => c.slug === slug);
  if (found !== undefined) return found;
  const known = (manifest.connections ?? []).map((c) => c.slug).join(", ") || "none";
  throw new RejotError("CONNECTION_NOT_FOUND", { detail: `"${slug}"; connections: ${known}` });
}
