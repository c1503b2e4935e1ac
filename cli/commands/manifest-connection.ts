import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, readManifest } from "../../shared/manifest/load.ts";
import type { Connection, Manifest } from "../../shared/manifest/schema.ts";
import { addConnectionFlags, buildConnection, type ConnectionFlags } from "../connection-options.ts";
import type { CliContext } from "../context.ts";
import { describeConnection } from "../describe.ts";
import { addManifestOption, findManifest, updateManifest } from "../manifest-file.ts";
import { table } from "../report.ts";

type Flags = ConnectionFlags & { manifest?: string };

/** `manifest connection add|list|remove|update`. */
export function addManifestConnection(parent: Command, context: CliContext): void {
  const group = parent.command("connection").description("the databases and Kafkas of the manifest");

  addManifestOption(addConnectionFlags(group.command("add")))
    .description("add a connection")
    .requiredOption("--slug <slug>", "name of the connection inside the manifest")
    .action(async ({ slug, ...options }: Flags & { slug: string }) => {
      const { manifest: file, ...flags } = options;
      await store(context, await findManifest(file), slug, flags, "added");
    });

  addManifestOption(group.command("list"))
    .description("list the connections, without their secrets")
    .action(async (options: { manifest?: string }) => {
      const manifest = await readManifest(await findManifest(options.manifest));
      const rows = (manifest.connections ?? []).map((c) => [c.slug, ...describeConnection(c)]);
      context.print(rows.length === 0 ? "no connections" : table(rows));
    });

  addManifestOption(group.command("remove <slug>"))
    .description("remove a connection that no data store or event store uses")
    .action(async (slug: string, options: { manifest?: string }) => {
      const file = await findManifest(options.manifest);
      await updateManifest(file, (manifest) => withoutConnection(manifest, slug));
      context.print(`removed connection ${slug} from ${displayPath(file)}`);
    });

  addManifestOption(addConnectionFlags(group.command("update <slug>")))
    .description("replace what a connection says")
    .action(async (slug: string, { manifest: file, ...flags }: Flags) => {
      await store(context, await findManifest(file), slug, flags, "updated");
    });
}

async function store(
  context: CliContext,
  file: string,
  slug: string,
  flags: ConnectionFlags,
  verb: "added" | "updated",
): Promise<void> {
  const { connection, warnings } = buildConnection(slug, flags);
  await updateManifest(file, (manifest) => ({
    ...manifest,
    connections:
      verb === "added"
        ? [...(manifest.connections ?? []), unused(manifest, connection)]
        : replaced(manifest, connection),
  }));
  for (const warning of warnings) context.warn(`warning: ${warning}`);
  context.print(
    `${verb} connection ${slug} (${describeConnection(connection).join(", ")}) in ${displayPath(file)}`,
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
