import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { findJsonSyntaxError } from "./json-syntax.ts";
import { loadManifests, parseManifest } from "./load.ts";

async function folderWith(files: Record<string, unknown>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "manifests-"));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return folder;
}

const minimal = (slug: string, more = {}) => ({ slug, manifestVersion: 0, ...more });

test("workspaces are followed, each manifest is read once", async () => {
  const folder = await folderWith({
    "all.json": minimal("all", { workspaces: ["./teams/*", "./teams/a/rejot-manifest.json"] }),
    "teams/a/rejot-manifest.json": minimal("a", { workspaces: ["../../all.json"] }),
    "teams/b/rejot-manifest.json": minimal("b"),
  });
  const loaded = await loadManifests([join(folder, "all.json"), join(folder, "teams", "b")]);
  expect(loaded.map((m) => m.manifest.slug)).toEqual(["all", "b", "a"]);
});

test("a file that is missing, a folder without a manifest, a workspace that matches nothing", async () => {
  const folder = await folderWith({ "w.json": minimal("w", { workspaces: ["./nothing/*.json"] }) });
  for (const path of [join(folder, "no.json"), folder, join(folder, "w.json")]) {
    await expect(loadManifests([path])).rejects.toMatchObject({ code: "MANIFEST_NOT_FOUND" });
  }
});

test.each([
  ['{"a": 1,\n  "b": 2,\n}', "m.json:2:9: a trailing comma"],
  ["{\n  'a': 1}", "m.json:2:3: a name in double quotes"],
  ['{"a": 1 // why\n}', 'm.json:1:9: "," or "}" is expected'],
  ['{"a": "x\ny"}', "m.json:1:7: this string is not closed"],
  ["", "m.json:1:1: the document ends too early"],
  ["{} {}", "m.json:1:4: something follows"],
])("%j is refused with line and column", (text, message) => {
  expect(() => parseManifest(text, "m.json")).toThrow(message);
});

test("the search for a syntax error agrees with JSON.parse", () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.constantFrom("", ",", "}", '"', "x", "1"), (json, at, piece) => {
      const cut = at % (json.length + 1);
      const text = json.slice(0, cut) + piece + json.slice(cut + 1);
      let legal = true;
      try {
        JSON.parse(text);
      } catch {
        legal = false;
      }
      expect(findJsonSyntaxError(text) === undefined).toBe(legal);
    }),
  );
});

test("every wrong place is named with its path, unknown keys by name", () => {
  const text = JSON.stringify({
    slug: "Not Legal",
    manifestVersion: 0,
    extra: 1,
    connections: [
      { slug: "a", config: { connectionType: "mysql" } },
      { slug: "b", config: { connectionType: "postgres", host: "h", user: "u", database: "d", prot: 1 } },
      { slug: "c", config: { connectionType: "postgres" } },
    ],
  });
  expect(() => parseManifest(text, "m.json")).toThrow(
    expect.objectContaining({ code: "MANIFEST_INVALID" }) as Error,
  );
  for (const part of [
    "slug: use lower-case",
    'connections[0].config.connectionType: none of the forms it may have: "postgres", "kafka"',
    'connections[1].config: unknown key "prot"',
    "connections[2].config.host: is required",
    '(top level): unknown key "extra"',
  ]) {
    expect(() => parseManifest(text, "m.json")).toThrow(part);
  }
});

test("a manifest of a later format is refused as such", () => {
  expect(() => parseManifest('{"manifestVersion": 1}', "m.json")).toThrow(/manifestVersion 1/);
});
