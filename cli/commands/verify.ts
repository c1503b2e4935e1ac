import { type Command, InvalidArgumentError, Option } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { backfillName } from "../../shared/kafka/backfill-record.ts";
import { abortOnInterrupt } from "../../shared/lifecycle/interrupt.ts";
import { loadManifests } from "../../shared/manifest/load.ts";
import { type Role, resolveWorkspace, type Workspace } from "../../shared/manifest/workspace.ts";
import { readSettings } from "../../shared/settings/settings.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { allEqual, differences } from "../verify/pair-report.ts";
import { progressDisplay } from "../verify/progress-display.ts";
import { pairText, verdictLine } from "../verify/report-text.ts";

interface VerifyFlags extends JsonFlag {
  readonly schema: readonly string[];
  readonly only?: Role;
  readonly show: number;
  readonly rounds: number;
  readonly timeout: number;
  readonly workDir?: string;
}

/** `verify`: compares source, topic and destination on a live system. */
export function addVerify(parent: Command, context: CliContext): void {
  const command = addJsonOption(parent.command("verify"))
    .argument("<manifests...>", "manifest files, or folders that hold one")
    .description(
      "compare source, topic and destination while they run; exit code 1 when they differ. " +
        "REJOT_SOURCE_* variables set the role and limits that transformations run with",
    )
    .option(
      "--schema <public-schema>",
      "a public schema: its name, or its name and major as in account.v2 (repeatable; default: all)",
      (value: string, list: readonly string[]) => [...list, value],
      [],
    )
    .addOption(
      new Option("--only <side>", "compare one side with the topic only").choices(["source", "sink"]),
    )
    .option("--show <count>", "keys that are named of each kind of difference", whole(0), 10)
    .option("--rounds <count>", "how often keys that keep changing are looked at", whole(2), 3)
    .option(
      "--timeout <seconds>",
      "how long a source may take to publish up to the position, a sink to go on, a database to answer",
      whole(1),
      60,
    )
    .option(
      "--work-dir <folder>",
      "where keys and hashes are kept meanwhile (default: the system's temporary folder)",
    )
    .action((manifests: string[], flags: VerifyFlags) => run(manifests, flags, context));
  withExamples(
    command,
    "verify .",
    "verify accounts shop --schema account.v1",
    "verify . --json --work-dir /var/tmp",
  );
}

function whole(from: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < from)
      throw new InvalidArgumentError(`a whole number from ${from} on is expected`);
    return value;
  };
}

async function run(paths: readonly string[], flags: VerifyFlags, context: CliContext): Promise<void> {
  const roles: Role[] = flags.only === undefined ? ["source", "sink"] : [flags.only];
  const workspace = await resolveWorkspace(await loadManifests(paths), context.env, roles);
  requireKnown(workspace, flags.schema);
  const { setLogLevel } = await import("../../shared/observability/logger.ts");
  const { verify } = await import("../verify/verify.ts");
  const { SOURCE_PREFIX: prefix, sourceSettings } = await import("../../source-connector/config.ts");
  setLogLevel("silent");
  const display = progressDisplay();
  using interrupt = abortOnInterrupt((exitCode) => new Exit(exitCode));
  const { reports, failure } = await verify({
    workspace,
    config: readSettings(sourceSettings, { prefix, env: context.env, args: [] }).values,
    wants: (name, major) => isWanted({ name, version: { major } }, flags.schema),
    show: flags.show,
    rounds: flags.rounds,
    timeoutMs: flags.timeout * 1_000,
    workDir: flags.workDir,
    signal: interrupt.signal,
    onProgress: display.show,
    onReport: (report) => {
      display.clear();
      if (flags.json !== true) context.print(pairText(report));
    },
  });
  const different = reports.some((report) => differences(report) > 0);
  const exitCode = different ? 1 : failure;
  printResult(context, flags, { equal: allEqual(reports), comparisons: reports }, verdictLine(reports));
  if (exitCode !== 0) throw new Exit(exitCode);
}

type Named = Parameters<typeof backfillName>[0];

function isWanted(schema: Named, wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.includes(schema.name) || wanted.includes(backfillName(schema));
}

/** Throws USAGE when there is nothing to compare, or a name that no public schema has. */
function requireKnown({ sources, destinations }: Workspace, wanted: readonly string[]): void {
  const published = sources.flatMap(({ publicSchemas }) => publicSchemas.map(({ schema }): Named => schema));
  const consumed = destinations.flatMap(({ consumers }) =>
    consumers.map(({ consumerSchema: { publicSchema } }): Named => {
      return { name: publicSchema.name, version: { major: publicSchema.majorVersion } };
    }),
  );
  const all = [...published, ...consumed];
  if (all.length === 0) throw new RejotError("USAGE", { detail: "the manifests have nothing to compare" });
  const known = [...new Set(all.map(backfillName))].join(", ");
  for (const name of wanted) {
    if (!all.some((schema) => isWanted(schema, [name])))
      throw new RejotError("USAGE", { detail: `"${name}"; there are: ${known}` });
  }
}
