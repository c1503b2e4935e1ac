import type { Client } from "pg";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { fieldOf, recordOf } from "../../shared/contracts/consumers/consumer-usage.ts";
import { describeType } from "../../shared/contracts/text-to-avro.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { type Diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema } from "../../shared/manifest/schema.ts";
import { consumerStatementPlace } from "../../shared/manifest/schema-place.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { parseTemplate, placeOfPlaceholder, type SqlTemplate } from "../../shared/postgres/sql/template.ts";
import {
  describeStatements,
  type StatementParameters,
} from "../../sink-connector/applier/postgres-parameters.ts";
import { parameterMisfit } from "./parameter-fit.ts";

/** A consumer schema and where it is looked at. */
export interface ConsumerCheck {
  readonly client: Client;
  readonly loaded: LoadedManifest;
  readonly consumer: ConsumerSchema;
  /** The public schema it reads, where the workspace has it. */
  readonly source: ResolvedPublicSchema | undefined;
}

/**
 * Prepares a consumer schema's statements on the destination, as the sink will, and compares the types that its
 * tables give the placeholders with those of the fields.
 */
export async function checkConsumer(check: ConsumerCheck): Promise<Diagnostic[]> {
  const { client, loaded, consumer } = check;
  const diagnostics: Diagnostic[] = [];
  for (const purpose of ["sql", "deleteSql"] as const) {
    const sql = consumer.config[purpose];
    if (sql === undefined) continue;
    const place = (error: unknown) => consumerStatementPlace(loaded, consumer, purpose, error);
    try {
      const template = await parseTemplate(sql);
      const statement = { consumerName: consumer.name, purpose, template };
      const [parameters] = await describeStatements(client, [statement]);
      if (parameters === undefined) continue;
      for (const { error, severity } of misfits(check, purpose, template, parameters)) {
        diagnostics.push({ ...diagnosticOfError(error, place(error)), severity });
      }
    } catch (error) {
      diagnostics.push(diagnosticOfError(error, place(error)));
    }
  }
  return diagnostics;
}

function misfits(
  { source }: ConsumerCheck,
  purpose: "sql" | "deleteSql",
  template: SqlTemplate,
  { shape, types }: StatementParameters,
): { error: RejotError; severity: Diagnostic["severity"] }[] {
  const record = recordFor(source, purpose);
  const found = shape.names.flatMap((name, i) => {
    const field = record === undefined ? undefined : fieldOf(record, name);
    const type = types[i];
    const misfit = field === undefined || type === undefined ? undefined : parameterMisfit(field.type, type);
    if (field === undefined || type === undefined || misfit === undefined) return [];
    const shown = /^\d+$/.test(name) ? `$${name} (${field.name})` : `:${name}`;
    const detail = `${shown} is ${describeType(field.type)}, the destination wants ${type.name}: ${misfit.why}`;
    const sql = placeOfPlaceholder(template, name);
    return [{ error: new RejotError("PARAMETER_TYPE_MISMATCH", { detail, sql }), severity: misfit.severity }];
  });
  // A placeholder that is used twice with one type is said once.
  return [...new Map(found.map((each) => [each.error.message, each])).values()];
}

function recordFor(
  source: ResolvedPublicSchema | undefined,
  purpose: "sql" | "deleteSql",
): AvroRecord | undefined {
  if (source === undefined) return undefined;
  const { manifestSlug, schema, keyFields } = source;
  try {
    return recordOf(avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields }), purpose);
  } catch (error) {
    // A public schema that has no form in Avro is its own team's finding.
    if (error instanceof RejotError) return undefined;
    throw error;
  }
}
