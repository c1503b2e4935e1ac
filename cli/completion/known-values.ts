import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { readManifest } from "../../shared/manifest/load.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { describeConnection, describeDataStore } from "../describe.ts";
import { findManifest } from "../manifest-file.ts";
import type { Candidate, CommandLine, Completion } from "./candidates.ts";

const runGit = promisify(execFile);

/** Names that stand for files and folders; the shell knows those best. */
const FILES = /^(file|files|manifest|manifests|folder|dir|directory|path)(\.\.\.)?$/;

type FromManifest = (manifest: Manifest) => Candidate[];

/** What a manifest knows, by the name that options and arguments have for it. */
const FROM_MANIFEST: Readonly<Record<string, FromManifest>> = {
  connection: connectionsOf(),
  "postgres-connection": connectionsOf("postgres"),
  "kafka-connection": connectionsOf("kafka"),
  "data-store": ({ dataStores = [] }) =>
    dataStores.map((store) => {
      const [value = "", description = ""] = describeDataStore(store);
      return { value, description };
    }),
  "event-store": ({ eventStores = [] }) =>
    eventStores.map(({ connectionSlug }) => ({ value: connectionSlug, description: "event store" })),
  "public-schema": ({ publicSchemas = [] }) =>
    distinct(
      publicSchemas.map(({ name }) => name),
      "public schema",
    ),
  "consumer-schema": ({ consumerSchemas = [] }) =>
    distinct(
      consumerSchemas.map(({ name }) => name),
      "consumer schema",
    ),
};

/** The values of options and arguments, from the manifest that the command line is about and from what is around it. */
export async function knownValues(
  placeholder: string,
  { options }: CommandLine,
): Promise<Completion | undefined> {
  if (FILES.test(placeholder)) return { candidates: [], files: true };
  if (placeholder === "what") return { candidates: await baselines(), files: false };
  const from = FROM_MANIFEST[placeholder.replace(/\.\.\.$/, "")];
  if (from === undefined) return undefined;
  const manifest = await readManifest(await findManifest(options.get("--manifest")));
  return { candidates: from(manifest), files: false };
}

/** What `schema check --against` takes. */
async function baselines(): Promise<Candidate[]> {
  const refs = await runGit("git", [
    "for-each-ref",
    "--format=%(refname:short)",
    "refs/heads",
    "refs/remotes",
    "refs/tags",
  ])
    .then(({ stdout }) => stdout.split("\n").filter((ref) => ref !== ""))
    .catch(() => []);
  return [
    { value: "schemas", description: "the schema files" },
    { value: "registry", description: "what the schema registry has" },
    ...refs.map((ref) => ({ value: `git:${ref}`, description: "" })),
  ];
}

function connectionsOf(type?: "postgres" | "kafka"): FromManifest {
  return ({ connections = [] }) =>
    connections
      .filter(({ config }) => type === undefined || config.connectionType === type)
      .map((connection) => ({
        value: connection.slug,
        description: describeConnection(connection).join(", "),
      }));
}

function distinct(names: readonly string[], description: string): Candidate[] {
  return [...new Set(names)].map((value) => ({ value, description }));
}
