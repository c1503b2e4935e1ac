import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import type { PublicSchema } from "../../shared/manifest/schema.ts";
import { loadSchemaManifests, type OwnSchema, ownSchemas } from "./own-schemas.ts";
import {
  earlierInFiles,
  filesOf,
  goneFromFiles,
  readSchemaFiles,
  staleFiles,
  writeSchemaFiles,
} from "./schema-files.ts";

const repository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

function own(
  properties: Record<string, object>,
  { name = "thing", minor = 0, major = 1, slug = "@org/team-a" } = {},
): OwnSchema {
  const schema: PublicSchema = {
    name,
    source: { dataStoreSlug: "db" },
    outputSchema: {
      type: "object",
      properties: { id: { type: "integer" }, ...properties },
      required: ["id"],
    },
    version: { major, minor },
    config: { publicSchemaType: "postgres", transformations: [] },
  };
  const contract = avroSchemasOf({ manifestSlug: slug, publicSchema: schema, keyFields: ["id"] });
  return {
    loaded: { path: "/rejot-manifest.json", manifest: { slug, manifestVersion: 0 } },
    resolved: { manifestSlug: slug, dataStoreSlug: "db", schema, keyFields: ["id"], topic: "t" },
    contract,
  };
}

const text = { type: "string" };

async function folder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "rejot-schemas-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe("the files of a version", () => {
  test("stand under slug, name and version, and are always the same bytes", () => {
    const files = filesOf(own({ note: text }, { minor: 2 }));
    expect([...files.keys()]).toEqual([
      "org.team-a.thing/v1.2/key.avsc",
      "org.team-a.thing/v1.2/value.avsc",
      "org.team-a.thing/v1.2/schema.json",
    ]);
    expect([...files]).toEqual([...filesOf(own({ note: text }, { minor: 2 }))]);
    expect(files.get("org.team-a.thing/v1.2/key.avsc")).toMatch(/^\{\n {2}"type": "record"[\s\S]*\}\n$/);
  });

  test("are written once, and read back as the contract", async () => {
    await using at = await folder();
    const thing = own({ note: text });
    expect(await writeSchemaFiles(at.path, [thing], { overwrite: false })).toHaveLength(3);
    expect(await writeSchemaFiles(at.path, [thing], { overwrite: false })).toEqual([]);
    const files = await readSchemaFiles(at.path);
    expect(earlierInFiles(files, thing, "in schemas")).toEqual([
      { origin: "v1.0 in schemas", minor: 0, contract: thing.contract },
    ]);
    expect(staleFiles(files, thing)).toEqual([]);
    expect((await readdir(at.path, { recursive: true })).filter((each) => each.includes("tmp"))).toEqual([]);
  });

  test("are stale when the manifest or the file changed", () => {
    const files = filesOf(own({}));
    expect(staleFiles(files, own({ note: text }))).toEqual([
      "org.team-a.thing/v1.0/value.avsc differs",
      "org.team-a.thing/v1.0/schema.json differs",
    ]);
    expect(staleFiles(new Map(), own({}))).toEqual(["org.team-a.thing/v1.0 is not written yet"]);
    files.delete("org.team-a.thing/v1.0/key.avsc");
    expect(staleFiles(files, own({}))).toEqual(["org.team-a.thing/v1.0/key.avsc is missing"]);
  });

  test("stay as the history: another form needs another version, a description does not", async () => {
    await using at = await folder();
    const write = (schema: OwnSchema, overwrite = false) =>
      writeSchemaFiles(at.path, [schema], { overwrite });
    await write(own({ note: text }));
    await expect(write(own({ note: text, more: text }))).rejects.toMatchObject({
      code: "SCHEMA_VERSION_WRITTEN",
      message: expect.stringContaining('thing v1.0: "more" was added'),
    });
    expect(staleFiles(await readSchemaFiles(at.path), own({ note: text }))).toEqual([]);
    expect(await write(own({ note: { ...text, description: "why" } }))).toHaveLength(2);
    expect(await write(own({ note: text, more: text }, { minor: 1 }))).toHaveLength(3);
    expect(await write(own({ other: text }, { minor: 1 }), true)).toHaveLength(2);
    const versions = earlierInFiles(await readSchemaFiles(at.path), own({}), "");
    expect(versions.map(({ minor }) => minor)).toEqual([0, 1]);
  });

  test("name the file that is broken", async () => {
    await using at = await folder();
    await writeSchemaFiles(at.path, [own({})], { overwrite: false });
    await writeFile(join(at.path, "org.team-a.thing/v1.0/value.avsc"), "<<<<<<< HEAD");
    const files = await readSchemaFiles(at.path);
    expect(() => earlierInFiles(files, own({}), "")).toThrow(/org\.team-a\.thing\/v1\.0\/value\.avsc/);
    files.delete("org.team-a.thing/v1.0/key.avsc");
    expect(() => earlierInFiles(files, own({}), "")).toThrow(/key\.avsc is missing/);
  });

  test("tell majors that are gone, of this manifest only", () => {
    const files = new Map(
      [
        own({}),
        own({}, { major: 2 }),
        own({}, { name: "other" }),
        own({}, { slug: "@org/team-a.x" }),
        own({}, { slug: "foreign" }),
      ].flatMap((each) => [...filesOf(each)]),
    );
    expect(goneFromFiles(files, "@org/team-a", [own({}, { major: 2 })])).toEqual([
      { name: "other", major: 1 },
      { name: "thing", major: 1 },
    ]);
  });
});

test("schemas/ holds what ShopJot's manifests say (npx rejot-kafka schema write)", async () => {
  const manifests = await loadSchemaManifests(repository("examples/shopjot/rejot-workspace.json"));
  const { schemas, diagnostics } = await ownSchemas(manifests);
  expect(diagnostics).toEqual([]);
  expect(schemas.length).toBeGreaterThan(3);
  const files = await readSchemaFiles(repository("schemas"));
  expect(schemas.flatMap((schema) => staleFiles(files, schema))).toEqual([]);
  expect(await readFile(repository("schemas/README.md"), "utf8")).toContain("schema write");
});
