import { expect, test } from "vitest";
import { ERRORS } from "../errors/table.ts";
import { DefinitionPlaces } from "./definition-places.ts";
import { type LoadedManifest, parseManifest } from "./load.ts";
import { checkWorkspace } from "./workspace.ts";

const OUTPUT = '{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}';
const CONFIG =
  '{"publicSchemaType":"postgres","transformations":[{"operation":"insert","table":"t","sql":"SELECT id FROM t WHERE id = :id"}]}';
const PUBLIC = (name: string, store: string) =>
  `{"name":"${name}","source":{"dataStoreSlug":"${store}"},"outputSchema":${OUTPUT},"version":{"major":1,"minor":0},"config":${CONFIG}}`;
const CONSUMER = (name: string, manifest: string, schema: string, major: number, store = "db") =>
  `{"name":"${name}","sourceManifestSlug":"${manifest}","publicSchema":{"name":"${schema}","majorVersion":${major}},"config":{"consumerSchemaType":"postgres","destinationDataStoreSlug":"${store}","sql":"SELECT :id"}}`;
const SOURCE = '"config":{"connectionType":"postgres","slotName":"s","publicationName":"p"}';

/** A manifest in which each of ReJot's diagnostics is found once; the comments are their lines. */
const LINES: [text: string, code?: string][] = [
  ['{ "slug": "team", "manifestVersion": 0,'],
  ['"connections": ['],
  ['{"slug":"db","config":{"connectionType":"postgres","connectionString":"${DB}"}},'],
  ['{"slug":"sink","config":{"connectionType":"postgres","connectionString":"${DB}"}},'],
  ['{"slug":"idle","config":{"connectionType":"postgres","connectionString":"${DB}"}},', "UNUSED_CONNECTION"],
  [
    '{"slug":"events","config":{"connectionType":"kafka","brokers":["k"],"schemaRegistry":{"url":"http://r"}}}],',
  ],
  ['"dataStores": ['],
  [`{"connectionSlug":"db",${SOURCE}},`],
  ['{"connectionSlug":"sink"},'],
  [`{"connectionSlug":"db",${SOURCE}},`, "DUPLICATE_DATA_STORE"],
  ['{"connectionSlug":"lost"},', "CONNECTION_NOT_FOUND"],
  ['{"connectionSlug":"events"}],', "CONNECTION_TYPE_MISMATCH"],
  ['"eventStores": [{"connectionSlug":"events"}],'],
  ['"publicSchemas": ['],
  [`${PUBLIC("a", "db")},`],
  [`${PUBLIC("a", "db")},`, "DUPLICATE_PUBLIC_SCHEMA"],
  [`${PUBLIC("b", "sink")},`, "DATA_STORE_MISSING_CONFIG"],
  [`${PUBLIC("c", "nowhere")}],`, "DATA_STORE_NOT_FOUND"],
  ['"consumerSchemas": ['],
  [`${CONSUMER("x", "absent", "a", 1)},`, "MANIFEST_NOT_FOUND"],
  [`${CONSUMER("y", "team", "nothing", 1)},`, "PUBLIC_SCHEMA_NOT_FOUND"],
  [`${CONSUMER("z", "team", "a", 7)}]}`, "VERSION_MISMATCH"],
];

function load(path: string, text: string): LoadedManifest {
  const manifest = parseManifest(text, path);
  return { path, manifest, places: new DefinitionPlaces(path, manifest, new Map(), () => text) };
}

test("each of ReJot's eleven diagnostics has its code, severity, file, line and hint, and all are found at once", async () => {
  const team = load("/team.json", LINES.map(([text]) => text).join("\n"));
  const copy = load("/copy.json", '{\n"slug": "team", "manifestVersion": 0 }');
  const { diagnostics } = await checkWorkspace([team, copy]);
  const found = diagnostics.map(({ code, file, line }) => `${code} ${file}:${line}`);
  const expected = LINES.flatMap(([, code], i) =>
    code === undefined ? [] : [`${code} /team.json:${i + 1}`],
  );
  expect(found.toSorted()).toEqual([...expected, "DUPLICATE_MANIFEST_SLUG /copy.json:2"].toSorted());
  expect(found).toHaveLength(11);
  const warnings = diagnostics.filter((d) => d.severity === "warning").map((d) => d.code);
  expect(warnings.toSorted()).toEqual(["MANIFEST_NOT_FOUND", "UNUSED_CONNECTION"]);
  for (const d of diagnostics) {
    expect(d.message.startsWith(`${ERRORS[d.code].title}: `)).toBe(true);
    expect(d.location).toContain(`.json:${d.line}: `);
    expect(d.hint).not.toBe("");
  }
});
