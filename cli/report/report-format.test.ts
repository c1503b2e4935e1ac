import { describe, expect, test } from "vitest";
import { type Diagnostic, diagnostic, placeIn } from "../../shared/manifest/diagnostic.ts";
import { formatDiagnostics, REPORT_FORMATS, type ReportFormat } from "./report-format.ts";

const OPTIONS = { title: "rejot-kafka collect", root: "/repo", version: "1.2.3" };

const REJECTED: Diagnostic = {
  ...diagnostic(
    "TRANSFORMATION_REJECTED",
    "error",
    placeIn({ file: "/repo/my schemas/a.ts", line: 12, column: 5 }, 'public schema "thing" v1'),
    'column "lable" does not exist: 50%, <really> & "so"\nsecond line',
  ),
  sql: { line: 2, column: 8, text: "SELECT lable" },
};
const WARNING = diagnostic(
  "UNUSED_CONNECTION",
  "warning",
  placeIn({ file: "/elsewhere/m.json", line: 3 }, "connections[0]"),
  '"x"',
);
const INFO = diagnostic("TRANSFORMATION_READS_ROW_IMAGE", "info", "nowhere", "every state");
const ALL = [INFO, WARNING, REJECTED];

const report = (format: ReportFormat, diagnostics: Diagnostic[] = ALL) =>
  formatDiagnostics(diagnostics, format, OPTIONS);

test.each(REPORT_FORMATS)("%s says code, message, place in the SQL and hint, errors first", (format) => {
  const text = report(format);
  for (const part of ["lable", "line 2, column 8", "Correct the SQL", "UNUSED_CONNECTION", "every state"]) {
    expect(
      format === "json" ? text.replace('"line": 2,\n        "column": 8', "line 2, column 8") : text,
    ).toContain(part);
  }
  expect(text.indexOf("TRANSFORMATION_REJECTED")).toBeLessThan(text.indexOf("every state"));
});

describe("text", () => {
  test("marks the character in the SQL", () => {
    expect(report("text", [REJECTED]).split("\n").slice(2)).toEqual([
      expect.stringContaining('/repo/my schemas/a.ts:12: public schema "thing" v1'),
      "  sql: line 2, column 8",
      "    SELECT lable",
      "           ^",
      expect.stringMatching(/^ {2}hint: /),
    ]);
  });
});

describe("json", () => {
  test("names files from the root", () => {
    expect(JSON.parse(report("json"))).toMatchObject({
      diagnostics: [
        { code: "TRANSFORMATION_REJECTED", file: "my schemas/a.ts", line: 12, column: 5, sql: { line: 2 } },
        { code: "UNUSED_CONNECTION", file: "/elsewhere/m.json", line: 3 },
        { code: "TRANSFORMATION_READS_ROW_IMAGE", severity: "info", location: "nowhere" },
      ],
      summary: { errors: 1, warnings: 1, infos: 1 },
    });
  });
});

describe("github", () => {
  test("is one command a finding, escaped as the runner unescapes", () => {
    const lines = report("github").split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(
      /^::error file=my schemas\/a.ts,line=12,col=5,title=TRANSFORMATION_REJECTED::Postgres does not/,
    );
    expect(lines[0]).toContain('50%25, <really> & "so"%0Asecond line%0Aat: ');
    expect(lines[1]).toMatch(/^::warning file=\/elsewhere\/m.json,line=3,title=/);
    expect(lines[2]).toMatch(/^::notice title=/);
  });

  test("a comma or colon in a file's name does not end the property", () => {
    const place = placeIn({ file: "/repo/a,b:c.ts" }, "x");
    expect(report("github", [diagnostic("KEY_NOT_FOUND", "error", place, "y")])).toMatch(
      /^::error file=a%2Cb%3Ac.ts,title=/,
    );
  });
});

describe("junit", () => {
  test("counts failures and escapes what XML cannot hold", () => {
    const control = diagnostic("KEY_NOT_FOUND", "error", "here\u0000", "a\u0001\uD800<b>");
    const text = report("junit", [...ALL, control]);
    expect(text).toContain('<testsuites name="rejot-kafka collect" tests="4" failures="2" errors="0">');
    expect(text).toContain("50%, &lt;really&gt; &amp; &quot;so&quot;&#10;second line");
    expect(text).toContain("a\uFFFD\uFFFD&lt;b&gt;");
    expect(text).toContain('classname="my schemas/a.ts"><failure type="TRANSFORMATION_REJECTED"');
    expect(text).toContain("my schemas/a.ts:12: public schema");
  });

  test("has a passed test for what was checked, and one where nothing was", () => {
    const checked = ['public schema "thing" v1', 'public schema "other" v1'];
    const text = formatDiagnostics([REJECTED], "junit", { ...OPTIONS, checked });
    expect(text).toContain('<testcase name="public schema &quot;other&quot; v1" classname=');
    expect(text).not.toContain('<testcase name="public schema &quot;thing&quot; v1"');
    expect(report("junit", [])).toContain('tests="1" failures="0"');
  });
});

describe("sarif", () => {
  const log = JSON.parse(report("sarif"));
  const [run] = log.runs;

  test("is one run of version 2.1.0 whose rules explain each code", () => {
    expect(log.version).toBe("2.1.0");
    expect(run.tool.driver).toMatchObject({ name: "rejot-kafka", semanticVersion: "1.2.3" });
    expect(run.originalUriBaseIds).toEqual({ "%SRCROOT%": { uri: "file:///repo/" } });
    for (const rule of run.tool.driver.rules) {
      expect(rule).toMatchObject({
        name: expect.stringMatching(/^([A-Z][a-z]*)+$/),
        shortDescription: { text: expect.stringMatching(/\S\.$/) },
        fullDescription: { text: expect.any(String) },
        help: { text: expect.any(String), markdown: expect.stringContaining("What to do") },
      });
    }
    for (const result of run.results) expect(run.tool.driver.rules[result.ruleIndex].id).toBe(result.ruleId);
  });

  test("names files by URIs relative to the root, with line and column", () => {
    expect(run.results.map((r: { level: string }) => r.level)).toEqual(["error", "warning", "note"]);
    expect(run.results[0].locations).toEqual([
      {
        physicalLocation: {
          artifactLocation: { uri: "my%20schemas/a.ts", uriBaseId: "%SRCROOT%" },
          region: { startLine: 12, startColumn: 5 },
        },
        logicalLocations: [{ fullyQualifiedName: 'public schema "thing" v1' }],
      },
    ]);
    expect(run.results[1].locations[0].physicalLocation.artifactLocation).toEqual({
      uri: "file:///elsewhere/m.json",
    });
    expect(run.results[2]).not.toHaveProperty("locations");
  });

  test("a finding keeps its fingerprint when lines move", () => {
    const moved = {
      ...REJECTED,
      ...placeIn({ file: "/repo/my schemas/a.ts", line: 99 }, 'public schema "thing" v1'),
    };
    const prints = (d: Diagnostic) => JSON.parse(report("sarif", [d])).runs[0].results[0].partialFingerprints;
    expect(prints(moved)).toEqual(prints(REJECTED));
    expect(prints(moved)).not.toEqual(prints(WARNING));
  });
});
