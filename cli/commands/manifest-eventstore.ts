import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, readManifest } from "../../shared/manifest/load.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import type { CliContext } from "../context.ts";
import { describeConnection } from "../describe.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest, updateManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { table } from "../report.ts";
import { requireConnection } from "./manifest-connection.ts";

type ManifestFlags = JsonFlag & { manifest?: string };

/** `manifest eventstore add|list|remove`. */
export function addManifestEventStore(parent: Command, context: CliContext): void {
  const group = parent.command("eventstore").description("the Kafka that events are kept in");
  withExamples(group, "manifest eventstore list", "manifest eventstore add --help");
  addAdd(group, context);
  addList(group, context);
  addRemove(group, context);
}

function addAdd(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("add")))
    .description("use a Kafka connection as the event store")
    .requiredOption("--connection <kafka-connection>", "a Kafka connection")
    .action(async (options: ManifestFlags & { connection: string }) => {
      const file = await findManifest(options.manifest);
      await updateManifest(file, (manifest) => withEventStore(manifest, options.connection));
      const value = { manifest: displayPath(file), eventStore: { connectionSlug: options.connection } };
      printResult(context, options, value, `added event store ${options.connection} to ${displayPath(file)}`);
    });
  withExamples(command, "manifest eventstore add --connection events");
}

function addList(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("list")))
    .description("list the event stores")
    .action(async (options: ManifestFlags) => {
      const file = await findManifest(options.manifest);
      const manifest = await readManifest(file);
      const { eventStores = [] } = manifest;
      const rows = eventStores.map(({ connectionSlug }) => [
        connectionSlug,
        ...describeConnection(requireConnection(manifest, connectionSlug)),
      ]);
      const text = rows.length === 0 ? "no event stores" : table(rows);
      printResult(context, options, { manifest: displayPath(file), eventStores }, text);
    });
  withExamples(command, "manifest eventstore list", "manifest eventstore list --json");
}

function addRemove(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("remove")))
    .argument("<event-store>", "slug of the event store, which is its connection's")
    .description("remove an event store; its topics stay as they are")
    .action(async (slug: string, options: ManifestFlags) => {
      const file = await findManifest(options.manifest);
      await updateManifest(file, (manifest) => withoutEventStore(manifest, slug));
      const value = { manifest: displayPath(file), removed: slug };
      printResult(context, options, value, `removed event store ${slug} from ${displayPath(file)}`);
    });
  withExamples(command, "manifest eventstore remove events");
}

function withEventStore(manifest: Manifest, slug: string): Manifest {
  const type = requireConnection(manifest, slug).config.connectionType;
  if (type !== "kafka") {
    throw new RejotError("CONNECTION_TYPE_MISMATCH", {
      detail: `"${slug}" is ${type}, an event store is kafka`,
      hint:
        "Events are kept in Kafka: rejot-kafka manifest connection add --slug events --type kafka " +
        "--brokers <host:port> --schema-registry <url>, then name that connection.",
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
