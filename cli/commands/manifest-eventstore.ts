import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, readManifest } from "../../shared/manifest/load.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import type { CliContext } from "../context.ts";
import { describeConnection } from "../describe.ts";
import { addManifestOption, findManifest, updateManifest } from "../manifest-file.ts";
import { table } from "../report.ts";
import { requireConnection } from "./manifest-connection.ts";

/** `manifest eventstore add|list|remove`. */
export function addManifestEventStore(parent: Command, context: CliContext): void {
  const group = parent.command("eventstore").description("the Kafka that events are kept in");

  addManifestOption(group.command("add"))
    .description("use a Kafka connection as the event store")
    .requiredOption("--connection <slug>", "a Kafka connection")
    .action(async (options: { connection: string; manifest?: string }) => {
      const file = await findManifest(options.manifest);
      await updateManifest(file, (manifest) => withEventStore(manifest, options.connection));
      context.print(`added event store ${options.connection} to ${displayPath(file)}`);
    });

  addManifestOption(group.command("list"))
    .description("list the event stores")
    .action(async (options: { manifest?: string }) => {
      const manifest = await readManifest(await findManifest(options.manifest));
      const rows = (manifest.eventStores ?? []).map(({ connectionSlug }) => [
        connectionSlug,
        ...describeConnection(requireConnection(manifest, connectionSlug)),
      ]);
      context.print(rows.length === 0 ? "no event stores" : table(rows));
    });

  addManifestOption(group.command("remove <slug>"))
    .description("remove an event store; its topics stay as they are")
    .action(async (slug: string, options: { manifest?: string }) => {
      const file = await findManifest(options.manifest);
      await updateManifest(file, (manifest) => withoutEventStore(manifest, slug));
      context.print(`removed event store ${slug} from ${displayPath(file)}`);
    });
}

function withEventStore(manifest: Manifest, slug: string): Manifest {
  const type = requireConnection(manifest, slug).config.connectionType;
  if (type !== "kafka") {
    throw new RejotError("CONNECTION_TYPE_MISMATCH", {
      detail: `"${slug}" is ${type}, an event store is kafka`,
    });
  }
  const stores = manifest.eventStores ?? [];
  if (stores.some((e) => e.connectionSlug === slug)) {
    throw new RejotError("DUPLICATE_EVENT_STORE", { detail: `"${slug}"` });
  }
  return { ...manifest, eventStores: [...stores, { connectionSlug: slug }] };
}

function withoutEventStore(manifest: Manifest, slug: string): Manifest {
  const stores = manifest.eventStores ?? [];
  if (!stores.some((e) => e.connectionSlug === slug)) {
    const known = stores.map((e) => e.connectionSlug).join(", ") || "none";
    throw new RejotError("EVENT_STORE_NOT_FOUND", { detail: `"${slug}"; event stores: ${known}` });
  }
  return { ...manifest, eventStores: stores.filter((e) => e.connectionSlug !== slug) };
}
