import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { ERRORS, type ErrorCode } from "../../shared/errors/table.ts";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { explanation, fileFromRoot } from "./diagnostic-text.ts";
import type { ReportOptions } from "./report-context.ts";

const LEVELS = { error: "error", warning: "warning", info: "note" } as const;
const ROOT_ID = "%SRCROOT%";

/**
 * SARIF 2.1.0 with what GitHub's code scanning needs: a rule with help for each code found, files as URIs relative
 * to the root, and a fingerprint without line numbers, so that a finding stays the same when its file is edited.
 */
export function sarifReport(diagnostics: readonly Diagnostic[], { root, version }: ReportOptions): string {
  const codes = [...new Set(diagnostics.map((d) => d.code))].sort();
  const rules = codes.map(rule);
  const log = {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: { driver: { name: "rejot-kafka", semanticVersion: version, rules } },
        originalUriBaseIds: { [ROOT_ID]: { uri: `${pathToFileURL(root).href}/` } },
        columnKind: "utf16CodeUnits",
        results: diagnostics.map((d) => result(d, codes.indexOf(d.code), root)),
      },
    ],
  };
  return JSON.stringify(log, null, 2);
}

function rule(code: ErrorCode): object {
  const { title, cause, hint } = ERRORS[code];
  return {
    id: code,
    name: code.toLowerCase().replaceAll(/(?:^|_)(\w)/g, (_, first: string) => first.toUpperCase()),
    shortDescription: { text: `${title}.` },
    fullDescription: { text: `${title}. ${cause}` },
    help: { text: `${cause} ${hint}`, markdown: `${cause}\n\n**What to do:** ${hint}` },
  };
}

function result(d: Diagnostic, ruleIndex: number, root: string): object {
  const file = d.file === undefined ? undefined : fileFromRoot(d.file, root);
  return {
    ruleId: d.code,
    ruleIndex,
    level: LEVELS[d.severity],
    message: { text: [d.message, ...explanation(d)].join("\n") },
    ...(d.file === undefined ? {} : { locations: [location(d, file, d.file)] }),
    partialFingerprints: { "rejotDiagnostic/v1": fingerprint(d, file ?? "") },
  };
}

function location(d: Diagnostic, near: string | undefined, file: string): object {
  const artifactLocation =
    near === undefined
      ? { uri: pathToFileURL(file).href }
      : { uri: near.split("/").map(encodeURIComponent).join("/"), uriBaseId: ROOT_ID };
  return {
    physicalLocation: {
      artifactLocation,
      region: { startLine: d.line ?? 1, ...(d.column === undefined ? {} : { startColumn: d.column }) },
    },
    logicalLocations: [{ fullyQualifiedName: partOf(d) }],
  };
}

/** The part of the file, without file and line. */
function partOf({ location, file }: Diagnostic): string {
  return file === undefined ? location : location.replace(/^.*?:(?:\d+:)* /s, "");
}

function fingerprint(d: Diagnostic, file: string): string {
  const same = [d.code, file, partOf(d), d.message.replaceAll(/\(line \d+, column \d+ of the SQL\)/g, "")];
  return createHash("sha256").update(JSON.stringify(same)).digest("hex").slice(0, 32);
}
