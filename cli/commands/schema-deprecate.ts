import type { Command } from "commander";
import { consumerName } from "../../shared/contracts/consumers/consumer-usage.ts";
import { type Deprecation, describeDeprecation } from "../../shared/contracts/deprecation.ts";
import { subjects } from "../../shared/kafka/naming.ts";
import { displayPath } from "../../shared/manifest/load.ts";
import type { Manifest, PublicSchema } from "../../shared/manifest/schema.ts";
import { publishDeprecation } from "../../shared/registry/published-deprecation.ts";
import { findMajor, type NamedMajor, parseMajor, readersOfMajor } from "../consumers/one-major.ts";
import type { CliContext } from "../context.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest, updateManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { registryOf } from "../schema/history.ts";

interface DeprecateFlags extends JsonFlag {
  manifest?: string;
  major: number;
  message?: string;
  since?: string;
  undo?: boolean;
  offline?: boolean;
}

/** What the registry was told: nothing while it does not have the schema, or was not to be asked. */
type Told = "told" | "unchanged" | "not registered" | "not asked";

/** `schema deprecate`: says that a major version will be removed, where its consumers see it. */
export function addSchemaDeprecate(parent: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(parent.command("deprecate")))
    .argument("<public-schema>", "name of the public schema")
    .description(
      "say in manifest and registry that a major version will be removed; its consumers are warned",
    )
    .requiredOption("--major <number>", "the major version", parseMajor)
    .option("--message <text>", "what consumers should do")
    .option("--since <date>", "day it was deprecated, 2026-11-30 (default: today, or as it was)")
    .option("--undo", "take it back")
    .option("--offline", "write the manifest only; the source, or schema register, tells the registry")
    .action((name: string, flags: DeprecateFlags) => deprecate(name, flags, context));
  withExamples(
    command,
    'schema deprecate customer --major 1 --message "Read v2: customers have several addresses."',
    "schema deprecate customer --major 1 --undo",
  );
}

async function deprecate(name: string, flags: DeprecateFlags, context: CliContext): Promise<void> {
  const file = await findManifest(flags.manifest);
  const found = await findMajor(file, name, flags.major);
  const deprecated = flags.undo === true ? undefined : deprecationOf(flags, found.schema.deprecated);
  await updateManifest(file, (manifest) => withDeprecated(manifest, found.schema, deprecated));
  const asksRegistry = flags.offline !== true;
  const registry = asksRegistry ? await tell(found, deprecated, context) : "not asked";
  const readers = await readersOfMajor(found, context.env, asksRegistry);
  const names = readers.map(({ usage }) => consumerName(usage));
  const { definitionFile } = found.schema;
  if (definitionFile !== undefined) {
    const said =
      deprecated === undefined
        ? "take `deprecated` out of"
        : `add deprecated: ${JSON.stringify(deprecated)} to`;
    context.warn(`${definitionFile} defines it: ${said} its createPublicSchema, too`);
  }
  const result = {
    schema: name,
    major: flags.major,
    deprecated: deprecated ?? null,
    registry,
    consumers: names,
  };
  printResult(context, flags, result, () => textOf(result, file));
}

function deprecationOf(
  { message, since }: DeprecateFlags,
  before: PublicSchema["deprecated"],
): NonNullable<PublicSchema["deprecated"]> {
  const says = message ?? before?.message;
  return {
    since: since ?? before?.since ?? new Date().toISOString().slice(0, 10),
    ...(says === undefined ? {} : { message: says }),
  };
}

function withDeprecated(
  manifest: Manifest,
  { name, version }: PublicSchema,
  deprecated: Deprecation | undefined,
): Manifest {
  const publicSchemas = (manifest.publicSchemas ?? []).map((schema) => {
    if (schema.name !== name || schema.version.major !== version.major) return schema;
    const { deprecated: _before, ...rest } = schema;
    return deprecated === undefined ? rest : { ...rest, deprecated };
  });
  return { ...manifest, publicSchemas };
}

async function tell(
  { loaded, own }: NamedMajor,
  deprecated: Deprecation | undefined,
  { env }: CliContext,
): Promise<Told> {
  if (own === undefined) return "not registered";
  const registry = registryOf(loaded, env);
  const { topic } = own.resolved;
  const { value } = own.contract;
  if ((await registry.find(subjects(topic).value, value)) === undefined) return "not registered";
  const told = await publishDeprecation(registry, { topic, value, deprecated, withdraw: true });
  return told ? "told" : "unchanged";
}

interface DeprecateResult {
  readonly schema: string;
  readonly major: number;
  readonly deprecated: Deprecation | null;
  readonly registry: Told;
  readonly consumers: readonly string[];
}

const TOLD: Record<Told, string> = {
  told: "the registry was told",
  unchanged: "the registry says so already",
  "not registered": "the registry does not have this version yet, and is told when it is registered",
  "not asked": "the registry was not asked",
};

function textOf({ schema, major, deprecated, registry, consumers }: DeprecateResult, file: string): string {
  const said = deprecated === null ? "no longer deprecated" : `deprecated${describeDeprecation(deprecated)}`;
  return [
    `${schema} v${major} is ${said} in ${displayPath(file)}; ${TOLD[registry]}`,
    consumers.length === 0 ? "no known consumer reads it" : `read by ${consumers.join(", ")}`,
  ].join("\n");
}
