import { type Command, Option } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, readManifest } from "../../shared/manifest/load.ts";
import { type DataStore, dataStore, type Manifest } from "../../shared/manifest/schema.ts";
import { describeZodIssues } from "../../shared/manifest/zod-issues.ts";
import type { CliContext } from "../context.ts";
import { describeDataStore } from "../describe.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest, updateManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { table } from "../report.ts";
import { requireConnection } from "./manifest-connection.ts";

type ManifestFlags = JsonFlag & { manifest?: string };

interface AddFlags extends ManifestFlags {
  connection: string;
  publication?: string;
  slot?: string;
  delivery?: string;
}

/** `manifest datastore add|list|remove`. */
export function addManifestDataStore(parent: Command, context: CliContext): void {
  const group = parent
    .command("datastore")
    .description("the databases that are published from or written to");
  withExamples(group, "manifest datastore list", "manifest datastore add --help");
  addAdd(group, context);
  addList(group, context);
  addRemove(group, context);
}

function addAdd(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("add")))
    .description("add a data store; with --publication and --slot it can be published from")
    .requiredOption(
      "--connection <postgres-connection>",
      "a Postgres connection; its slug becomes the data store's",
    )
    .option("--publication <name>", "name of the publication, made at the first start if it is missing")
    .option("--slot <name>", "name of the replication slot, made at the first start if it is missing")
    .addOption(
      new Option(
        "--delivery <promise>",
        "exactly-once (default), or at-least-once for lower latency",
      ).choices(["exactly-once", "at-least-once"]),
    )
    .action(async (flags: AddFlags) => {
      const file = await findManifest(flags.manifest);
      const added = fromFlags(flags);
      await updateManifest(file, (manifest) => withDataStore(manifest, added));
      const text = `added data store ${describeDataStore(added).join(", ")} to ${displayPath(file)}`;
      printResult(context, flags, { manifest: displayPath(file), dataStore: added }, text);
    });
  withExamples(
    command,
    "manifest datastore add --connection source --publication my_publication --slot my_slot",
    "manifest datastore add --connection sink",
  );
}

function addList(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("list")))
    .description("list the data stores")
    .action(async (options: ManifestFlags) => {
      const file = await findManifest(options.manifest);
      const { dataStores = [] } = await readManifest(file);
      const text = dataStores.length === 0 ? "no data stores" : table(dataStores.map(describeDataStore));
      printResult(context, options, { manifest: displayPath(file), dataStores }, text);
    });
  withExamples(command, "manifest datastore list", "manifest datastore list --json");
}

function addRemove(group: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(group.command("remove")))
    .argument("<data-store>", "slug of the data store, which is its connection's")
    .description("remove a data store that no schema uses")
    .action(async (slug: string, options: ManifestFlags) => {
      const file = await findManifest(options.manifest);
      await updateManifest(file, (manifest) => withoutDataStore(manifest, slug));
      const value = { manifest: displayPath(file), removed: slug };
      printResult(context, options, value, `removed data store ${slug} from ${displayPath(file)}`);
    });
  withExamples(command, "manifest datastore remove sink");
}

function fromFlags({ connection, publication, slot, delivery }: AddFlags): DataStore {
  if ((publication === undefined) !== (slot === undefined)) {
    throw new RejotError("USAGE", {
      detail: "--publication and --slot belong together; without both the data store is only written to",
    });
  }
  if (slot === undefined && delivery !== undefined) {
    throw new RejotError("USAGE", { detail: "--delivery is for data stores with --publication and --slot" });
  }
  const config =
    slot === undefined
      ? {}
      : {
          config: {
            connectionType: "postgres",
            slotName: slot,
            publicationName: publication,
            ...(delivery === undefined ? {} : { delivery }),
          },
        };
  const result = dataStore.safeParse({ connectionSlug: connection, ...config });
  if (!result.success) throw new RejotError("USAGE", { detail: describeZodIssues(result.error).join("; ") });
  return result.data;
}

function withDataStore(manifest: Manifest, added: DataStore): Manifest {
  const slug = added.connectionSlug;
  const type = requireConnection(manifest, slug).config.connectionType;
  if (type !== "postgres") {
    throw new RejotError("CONNECTION_TYPE_MISMATCH", {
      detail: `"${slug}" is ${type}, a data store is postgres`,
    });
  }
  if (manifest.dataStores?.some((d) => d.connectionSlug === slug)) {
    throw new RejotError("DUPLICATE_DATA_STORE", { detail: `"${slug}"` });
  }
  return { ...manifest, dataStores: [...(manifest.dataStores ?? []), added] };
}

function withoutDataStore(manifest: Manifest, slug: string): Manifest {
  const stores = manifest.dataStores ?? [];
  if (!stores.some((d) => d.connectionSlug === slug)) {
    const known = stores.map((d) => d.connectionSlug).join(", ") || "none";
    throw new RejotError("DATA_STORE_NOT_FOUND", { detail: `"${slug}"; data stores: ${known}` });
  }
  const users = [
    ...(manifest.publicSchemas ?? []).filter((s) => s.source.dataStoreSlug === slug),
    ...(manifest.consumerSchemas ?? []).filter((s) => s.config.destinationDataStoreSlug === slug),
  ];
  if (users.length > 0) {
    const names = users.map((s) => `"${s.name}"`).join(", ");
    throw new RejotError("STILL_USED", { detail: `the schemas ${names} use the data store "${slug}"` });
  }
  return { ...manifest, dataStores: stores.filter((d) => d.connectionSlug !== slug) };
}
