import type { Command } from "commander";
import { subjects } from "../../shared/kafka/naming.ts";
import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import { publicSchemaPlace } from "../../shared/manifest/schema-place.ts";
import { publishSchemas } from "../../shared/registry/published-schemas.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag } from "../output.ts";
import { jsonDiagnostics } from "../report/json-report.ts";
import type { ReportFormat } from "../report/report-format.ts";
import { addFormatOption, reportDiagnostics, repositoryRoot } from "../report/report-option.ts";
import { table } from "../report.ts";
import { openAgainst } from "../schema/against-options.ts";
import { checkSchemas, judgeSchemas } from "../schema/check-schemas.ts";
import { registryOf } from "../schema/history.ts";
import { type OwnSchema, versionName } from "../schema/own-schemas.ts";

interface RegisterFlags extends JsonFlag {
  manifest?: string;
  dryRun?: boolean;
  format: ReportFormat;
}

/** A subject, and what was done with it or would be. */
interface SubjectOutcome {
  readonly manifest: string;
  readonly schema: string;
  readonly version: string;
  readonly subject: string;
  /** `unchanged`: the very same schema was there already. */
  readonly outcome: "unchanged" | "registered" | "would register";
  /** Null for what would be registered. */
  readonly id: number | null;
  /** What the registry holds the subject to; null for a new one. After registering it is FULL_TRANSITIVE. */
  readonly compatibility: string | null;
}

/** `schema register`: puts the schemas into the registry, for deploys whose connectors may not. */
export function addSchemaRegister(parent: Command, context: CliContext): void {
  const command = addFormatOption(addJsonOption(addManifestOption(parent.command("register"))))
    .description(
      "register key and value of the public schemas as FULL_TRANSITIVE; nothing when one is refused",
    )
    .option("--dry-run", "ask the registry whether it would take them; nothing is changed there")
    .action((flags: RegisterFlags) => register(flags, context));
  withExamples(command, "schema register --dry-run", "schema register");
}

async function register(flags: RegisterFlags, context: CliContext): Promise<void> {
  const against = { ...flags, against: ["registry"] };
  const { schemas, histories, diagnostics } = await openAgainst(
    await findManifest(flags.manifest),
    against,
    context,
  );
  const { judgements } = await judgeSchemas(schemas, histories);
  const found = [...diagnostics, ...checkSchemas(judgements, histories)];
  const outcomes: SubjectOutcome[] = [];
  if (!hasErrors(found)) {
    for (const own of schemas) {
      const registry = registryOf(own.loaded, context.env);
      if (flags.dryRun !== true) outcomes.push(...(await registerOne(own, registry)));
      else {
        const asked = await dryRunOne(own, registry);
        outcomes.push(...asked.outcomes);
        found.push(...asked.diagnostics);
      }
    }
  }
  const format = flags.json === true ? "json" : flags.format;
  const dryRun = flags.dryRun === true;
  if (format === "json") {
    const report = jsonDiagnostics(found, { root: repositoryRoot() });
    context.print(JSON.stringify({ dryRun, subjects: outcomes, ...report }, null, 2));
  } else {
    const title = "rejot-kafka schema register";
    reportDiagnostics(context, found, format, { title, checked: schemas.map(versionName) });
    if (format === "text") context.print(textOf(outcomes));
  }
  if (hasErrors(found)) throw new Exit(1);
}

function hasErrors(found: readonly Diagnostic[]): boolean {
  return found.some(({ severity }) => severity === "error");
}

async function registerOne(own: OwnSchema, registry: SchemaRegistry): Promise<SubjectOutcome[]> {
  const subject = subjects(own.resolved.topic);
  const before = {
    key: await registry.find(subject.key, own.contract.key),
    value: await registry.find(subject.value, own.contract.value),
  };
  const { keyId, valueId } = await publishSchemas(own.resolved, registry, {
    register: true,
    withdraw: true,
  });
  const ids = { key: keyId, value: valueId };
  return (["key", "value"] as const).map((part) => ({
    ...nameOf(own),
    subject: subject[part],
    outcome: before[part] === undefined ? "registered" : "unchanged",
    id: ids[part],
    compatibility: "FULL_TRANSITIVE",
  }));
}

async function dryRunOne(
  own: OwnSchema,
  registry: SchemaRegistry,
): Promise<{ outcomes: SubjectOutcome[]; diagnostics: Diagnostic[] }> {
  const subject = subjects(own.resolved.topic);
  const outcomes: SubjectOutcome[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const part of ["key", "value"] as const) {
    const there = await registry.find(subject[part], own.contract[part]);
    const outcome = there === undefined ? "would register" : "unchanged";
    const compatibility = (await registry.compatibilityOf(subject[part])) ?? null;
    outcomes.push({ ...nameOf(own), subject: subject[part], outcome, id: there?.id ?? null, compatibility });
    if (there !== undefined) continue;
    const { compatible, reasons } = await registry.dryRun(subject[part], own.contract[part]);
    if (compatible) continue;
    const place = publicSchemaPlace(own.loaded, own.resolved.schema);
    const detail = `the registry refuses ${subject[part]}: ${reasons.join("; ") || "it does not say why"}`;
    diagnostics.push(diagnostic("SCHEMA_INCOMPATIBLE", "error", place, detail));
  }
  return { outcomes, diagnostics };
}

function nameOf({
  resolved: { manifestSlug, schema },
}: OwnSchema): Pick<SubjectOutcome, "manifest" | "schema" | "version"> {
  const { major, minor } = schema.version;
  return { manifest: manifestSlug, schema: schema.name, version: `${major}.${minor}` };
}

function textOf(outcomes: readonly SubjectOutcome[]): string {
  if (outcomes.length === 0) return "nothing was registered";
  return table(
    outcomes.map((o) => [
      o.outcome,
      o.subject,
      `v${o.version}`,
      o.id === null ? "" : `id ${o.id}`,
      o.compatibility === null || o.compatibility === "FULL_TRANSITIVE"
        ? ""
        : `${o.compatibility} becomes FULL_TRANSITIVE`,
    ]),
  );
}
