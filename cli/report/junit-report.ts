import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { explanation, fileFromRoot } from "./diagnostic-text.ts";
import type { ReportOptions } from "./report-context.ts";

/**
 * JUnit's XML as Jenkins' junit-10.xsd describes it, which has no attributes for file and line: they stand in the
 * names. An error is a failed test, a warning or info a passed one that says it in system-out, and what was checked
 * without an error a passed one.
 */
export function junitReport(diagnostics: readonly Diagnostic[], options: ReportOptions): string {
  const { title, checked = [] } = options;
  const failed = diagnostics.filter((d) => d.severity === "error");
  const concerns = (d: Diagnostic, name: string) =>
    d.location.endsWith(name) || d.location.includes(`${name},`);
  const passed = checked.filter((name) => !failed.some((d) => concerns(d, name)));
  const cases = [
    ...diagnostics.map((d) => testCase(d, options)),
    ...passed.map((name) => `    <testcase name="${attribute(name)}" classname="${attribute(title)}"/>`),
  ];
  // Viewers take a suite without tests for a run that broke.
  if (cases.length === 0) {
    cases.push(`    <testcase name="nothing was found" classname="${attribute(title)}"/>`);
  }
  const counts = `tests="${cases.length}" failures="${failed.length}" errors="0"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${attribute(title)}" ${counts}>`,
    `  <testsuite name="${attribute(title)}" ${counts} skipped="0">`,
    ...cases,
    "  </testsuite>",
    "</testsuites>",
  ].join("\n");
}

function testCase(d: Diagnostic, { title, root }: ReportOptions): string {
  const file = d.file === undefined ? undefined : (fileFromRoot(d.file, root) ?? d.file);
  const said = [`at: ${d.location}`, ...explanation(d)].join("\n");
  const inside =
    d.severity === "error"
      ? `<failure type="${d.code}" message="${attribute(d.message)}">${content(said)}</failure>`
      : `<system-out>${content(`${d.severity}: ${d.message}\n${said}`)}</system-out>`;
  const names = `name="${attribute(`${d.code} at ${d.location}`)}" classname="${attribute(file ?? title)}"`;
  return `    <testcase ${names}>${inside}</testcase>`;
}

// XML 1.0 has no form at all for other control characters, lone surrogates and U+FFFE, U+FFFF.
const ILLEGAL = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu;

function content(text: string): string {
  return text
    .replaceAll(ILLEGAL, "\uFFFD")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("\r", "&#13;");
}

/** Readers turn plain line breaks and tabs inside an attribute into spaces. */
function attribute(text: string): string {
  return content(text).replaceAll('"', "&quot;").replaceAll("\n", "&#10;").replaceAll("\t", "&#9;");
}
