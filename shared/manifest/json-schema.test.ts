import { readFile } from "node:fs/promises";
import { Ajv, type ValidateFunction } from "ajv";
import { beforeAll, describe, expect, test } from "vitest";
import { MANIFEST_SCHEMA_FILE, manifestJsonSchema, manifestJsonSchemaText } from "./json-schema.ts";
import { manifestSchema } from "./schema.ts";

const ROOT = new URL("../../", import.meta.url);

let validate: ValidateFunction;
beforeAll(() => {
  validate = new Ajv({ strict: true, allErrors: true, allowUnionTypes: true, strictRequired: false }).compile(
    manifestJsonSchema(),
  );
});

async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(new URL(path, ROOT), "utf8"));
}

test(`${MANIFEST_SCHEMA_FILE} says what the definition of a manifest says`, async () => {
  await expect(manifestJsonSchemaText()).toMatchFileSnapshot(new URL(MANIFEST_SCHEMA_FILE, ROOT).pathname);
});

test("every property has a description, which is a sentence", () => {
  const described: string[] = [];
  visitProperties(manifestJsonSchema(), "", (path, { description }) => {
    expect(description, path).toMatch(/^[^ ].{8,}[.)]$/);
    described.push(path);
  });
  expect(described.length).toBeGreaterThan(60);
  expect(described).toContain(".publicSchemas[].config.transformations[].sql");
});

test("every example in it is valid where it stands", () => {
  const root = manifestJsonSchema() as { examples: unknown[] };
  for (const example of root.examples) expect(validate(example), JSON.stringify(validate.errors)).toBe(true);
  let examples = root.examples.length;
  const ajv = new Ajv();
  visitProperties(root, "", (path, { examples: own = [], ...schema }) => {
    for (const example of own as unknown[]) {
      expect(ajv.validate(schema, example), path).toBe(true);
      examples += 1;
    }
  });
  expect(examples).toBeGreaterThan(20);
});

describe("manifests that are used validate", () => {
  test.each([
    "tests/integration/fixtures/rejot-manifest.json",
    "examples/shopjot/rejot-workspace.json",
    "examples/shopjot/accounts/rejot-manifest.json",
    "examples/shopjot/orders/rejot-manifest.json",
    "examples/shopjot/shop/rejot-manifest.json",
  ])("%s", async (path) => {
    expect(validate(await readJson(path)), JSON.stringify(validate.errors, null, 2)).toBe(true);
  });
});

test.each(["rejot-workspace", "accounts/rejot-manifest", "orders/rejot-manifest", "shop/rejot-manifest"])(
  "an editor finds the schema from ShopJot's %s.json",
  async (name) => {
    const path = `examples/shopjot/${name}.json`;
    const { $schema } = await readJson(path);
    expect(new URL(String($schema), new URL(path, ROOT))).toEqual(new URL(MANIFEST_SCHEMA_FILE, ROOT));
  },
);

const KAFKA = { connectionType: "kafka", brokers: ["a:1"], schemaRegistry: { url: "http://a" } };
const POSTGRES = { connectionType: "postgres", host: "h", user: "u", database: "d" };
const SLOT = { connectionType: "postgres", slotName: "s", publicationName: "p" };

function connected(config: object): object {
  return { slug: "a", manifestVersion: 0, connections: [{ slug: "c", config }] };
}

/** The manifest of ReJot with one thing changed; an undefined value takes a key away. */
function published(change: object, where: "publicSchemas" | "consumerSchemas" = "publicSchemas") {
  return async (): Promise<object> => {
    const manifest = await readJson("tests/integration/fixtures/rejot-manifest.json");
    const [schema] = manifest[where] as object[];
    return JSON.parse(JSON.stringify({ ...manifest, [where]: [{ ...schema, ...change }] }));
  };
}

describe("the JSON Schema refuses what the commands refuse, and takes what they take", () => {
  test.each<[string, boolean, object | (() => Promise<object>)]>([
    ["the least", true, { slug: "a", manifestVersion: 0 }],
    ["an organisation's slug", true, { slug: "@org/a", manifestVersion: 0 }],
    ["no slug", false, { manifestVersion: 0 }],
    ["a slug in capitals", false, { slug: "A", manifestVersion: 0 }],
    ["another version", false, { slug: "a", manifestVersion: 1 }],
    ["an unknown key", false, { slug: "a", manifestVersion: 0, dataStore: [] }],
    ["a text for a list", false, { slug: "a", manifestVersion: 0, workspaces: "*" }],
    [
      "a connection without a name",
      false,
      { ...connected(POSTGRES), connections: [{ slug: "", config: POSTGRES }] },
    ],
    ["Postgres in parts", true, connected(POSTGRES)],
    ["a port by reference", true, connected({ ...POSTGRES, port: "${PGPORT}" })],
    ["a port that no server can have", false, connected({ ...POSTGRES, port: 65_536 })],
    ["a port with a fraction", false, connected({ ...POSTGRES, port: 1.5 })],
    ["Postgres in one string", true, connected({ connectionType: "postgres", connectionString: "${URL}" })],
    ["Postgres in both", false, connected({ ...POSTGRES, connectionString: "${URL}" })],
    [
      "a user beside the string",
      false,
      connected({ connectionType: "postgres", connectionString: "x", user: "u" }),
    ],
    ["Postgres without a user", false, connected({ ...POSTGRES, user: undefined })],
    ["TLS", true, connected({ ...POSTGRES, ssl: { ca: "…", rejectUnauthorized: false } })],
    ["TLS with an unknown key", false, connected({ ...POSTGRES, ssl: { authority: "…" } })],
    ["Kafka", true, connected(KAFKA)],
    ["Kafka without brokers", false, connected({ ...KAFKA, brokers: [] })],
    ["Kafka without a registry", false, connected({ ...KAFKA, schemaRegistry: undefined })],
    ["no partitions", false, connected({ ...KAFKA, partitions: 0 })],
    [
      "SCRAM",
      true,
      connected({ ...KAFKA, sasl: { mechanism: "scram-sha-512", username: "u", password: "p" } }),
    ],
    ["a bearer token", true, connected({ ...KAFKA, sasl: { mechanism: "oauthbearer", token: "t" } })],
    ["an unknown mechanism", false, connected({ ...KAFKA, sasl: { mechanism: "gssapi", username: "u" } })],
    ["SCRAM without a password", false, connected({ ...KAFKA, sasl: { mechanism: "plain", username: "u" } })],
    ["ReJot's in-memory", true, connected({ connectionType: "in-memory" })],
    ["an unknown connection", false, connected({ connectionType: "mysql" })],
    [
      "a source",
      true,
      { slug: "a", manifestVersion: 0, dataStores: [{ connectionSlug: "c", config: SLOT }] },
    ],
    [
      "a slot's name with a hyphen",
      false,
      {
        slug: "a",
        manifestVersion: 0,
        dataStores: [{ connectionSlug: "c", config: { ...SLOT, slotName: "a-b" } }],
      },
    ],
    ["an unchanged schema", true, published({})],
    ["a key", true, published({ key: ["id"] })],
    ["an empty key", false, published({ key: [] })],
    ["a schema's name with a space", false, published({ name: "a b" })],
    ["no output schema", false, published({ outputSchema: undefined })],
    ["a half version", false, published({ version: { major: 1 } })],
    ["a version below zero", false, published({ version: { major: -1, minor: 0 } })],
    [
      "an unknown operation",
      false,
      published({
        config: {
          publicSchemaType: "postgres",
          transformations: [{ operation: "upsert", table: "t", sql: "SELECT 1" }],
        },
      }),
    ],
    ["another manifest's schema", true, published({ sourceManifestSlug: "@org/x" }, "consumerSchemas")],
    [
      "a minor version to consume",
      false,
      published({ publicSchema: { name: "a", majorVersion: 1.1 } }, "consumerSchemas"),
    ],
    ["a consumer without a statement", false, published({ config: {} }, "consumerSchemas")],
  ])("%s: %s", async (_, valid, given) => {
    const manifest = JSON.parse(JSON.stringify(typeof given === "function" ? await given() : given));
    expect(manifestSchema.safeParse(manifest).success).toBe(valid);
    expect(validate(manifest), JSON.stringify(validate.errors, null, 2)).toBe(valid);
  });

  test("what is no JSON Schema at all is seen in the editor already", async () => {
    const manifest = await published({ outputSchema: { type: "strnig" } })();
    expect(validate(manifest)).toBe(false);
  });
});

interface Node {
  readonly description?: unknown;
  readonly examples?: unknown;
  readonly properties?: Record<string, Node>;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
}

function visitProperties(node: Node, path: string, visit: (path: string, property: Node) => void): void {
  for (const [name, property] of Object.entries(node.properties ?? {})) {
    visit(`${path}.${name}`, property);
    visitProperties(property, `${path}.${name}`, visit);
  }
  for (const form of [...(node.anyOf ?? []), ...(node.oneOf ?? [])]) visitProperties(form, path, visit);
  if (node.items !== undefined) visitProperties(node.items, `${path}[]`, visit);
}
