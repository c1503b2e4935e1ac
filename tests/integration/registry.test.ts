import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SchemaRegistry as PlainRegistry } from "@kafkajs/confluent-schema-registry";
import { describe, expect, inject, test } from "vitest";
import { z } from "zod";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { compileRowEncoder } from "../../shared/contracts/row-encoder.ts";
import { bytes, decimal, int64, json, outputSchemaOf, timestamp } from "../../shared/contracts/zod-types.ts";
import { OID, type PgType } from "../../shared/postgres/type-catalog.ts";
import { createSchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { frame, unframe, wirePrefix } from "../../shared/registry/wire-format.ts";
import { randomName } from "../support/names.ts";

const FULL = { compatibility: "FULL_TRANSITIVE" } as const;

function schemaOf(fields: z.ZodRawShape): AvroRecord {
  const publicSchema = {
    name: "thing",
    outputSchema: outputSchemaOf(z.object(fields)),
    version: { major: 1, minor: 0 },
  };
  return avroSchemasOf({ manifestSlug: "@org/things", publicSchema, keyFields: [] }).value;
}

const rich = () =>
  schemaOf({
    id: int64(),
    price: decimal(10, 2),
    at: timestamp().nullable(),
    raw: bytes().optional(),
    doc: json(),
    state: z.enum(["new", "paid"]),
    kind: z.enum(["not a name", "x"]),
    lines: z.array(z.object({ sku: z.string(), sizes: z.record(z.string(), z.number()) })),
    either: z.union([z.string(), z.int()]),
  });

describe("a real registry", () => {
  test("gives one id to one schema, and the schema back with our attributes", async () => {
    const registry = createSchemaRegistry({ url: inject("stack").registryUrl });
    const subject = `${randomName("topic")}-value`;
    const schema = rich();
    const id = await registry.ensure(subject, schema, FULL);
    expect(await registry.ensure(subject, schema, FULL)).toBe(id);
    const another = createSchemaRegistry({ url: inject("stack").registryUrl });
    expect(await another.ensure(subject, schema, FULL)).toBe(id);
    expect(await another.schemaById(id)).toEqual(schema);
  });

  test("is found under Apicurio's bare address, and under one that ends with a slash", async () => {
    const url = inject("stack").registryUrl;
    const subject = `${randomName("topic")}-value`;
    const id = await createSchemaRegistry({ url: new URL(url).origin }).ensure(subject, rich(), FULL);
    expect(await createSchemaRegistry({ url: `${url}/` }).ensure(subject, rich(), FULL)).toBe(id);
  });

  test("takes a new nullable field and refuses a changed type, against every version", async () => {
    const registry = createSchemaRegistry({ url: inject("stack").registryUrl });
    const subject = `${randomName("topic")}-value`;
    await registry.ensure(subject, schemaOf({ id: int64(), gone: z.string().nullable() }), FULL);
    await registry.ensure(subject, schemaOf({ id: int64() }), FULL);
    await registry.ensure(subject, schemaOf({ id: int64(), note: z.string().optional() }), FULL);
    for (const fields of [
      { id: z.string() },
      { id: int64(), must: z.string() },
      { id: int64(), gone: z.int().nullable() },
    ]) {
      await expect(registry.ensure(subject, schemaOf(fields), FULL)).rejects.toMatchObject({
        code: "SCHEMA_INCOMPATIBLE",
        context: { subject },
        message: expect.stringContaining("ncompatible"),
      });
    }
  });

  test("tells every version of a subject, and where the very same schema stands", async () => {
    const registry = createSchemaRegistry({ url: inject("stack").registryUrl });
    const subject = `${randomName("topic")}-value`;
    const [first, second] = [
      schemaOf({ id: int64() }),
      schemaOf({ id: int64(), note: z.string().optional() }),
    ];
    expect(await registry.versions(subject)).toEqual([]);
    expect(await registry.find(subject, first)).toBeUndefined();
    expect(await registry.compatibilityOf(subject)).toBeUndefined();
    const ids = [await registry.ensure(subject, first, FULL), await registry.ensure(subject, second, FULL)];
    expect(await registry.versions(subject)).toEqual([
      { version: 1, id: ids[0], schema: first },
      { version: 2, id: ids[1], schema: second },
    ]);
    expect(await registry.find(subject, first)).toEqual({ version: 1, id: ids[0] });
    expect(await registry.find(subject, schemaOf({ id: z.string() }))).toBeUndefined();
    expect(await registry.compatibilityOf(subject)).toBe("FULL_TRANSITIVE");
    expect(await registry.subjects()).toContain(subject);
  });

  test("tells in a dry run what it would take, and takes nothing", async () => {
    const registry = createSchemaRegistry({ url: inject("stack").registryUrl });
    const subject = `${randomName("topic")}-value`;
    expect(await registry.dryRun(subject, rich())).toEqual({ compatible: true, reasons: [] });
    await registry.ensure(subject, schemaOf({ id: int64(), gone: z.string().nullable() }), FULL);
    await registry.ensure(subject, schemaOf({ id: int64() }), FULL);
    // Only the first version stands in its way: a look at the latest is none.
    expect(await registry.dryRun(subject, schemaOf({ id: int64(), gone: z.int().nullable() }))).toMatchObject(
      {
        compatible: false,
        reasons: [expect.stringContaining("LONG")],
      },
    );
    expect(await registry.dryRun(subject, schemaOf({ id: int64(), new: z.int().nullable() }))).toMatchObject({
      compatible: true,
    });
    expect(await registry.versions(subject)).toHaveLength(2);
  });

  test("does not know an id that was never given out", async () => {
    const registry = createSchemaRegistry({ url: inject("stack").registryUrl });
    await expect(registry.schemaById(2_000_000_000)).rejects.toMatchObject({ code: "SCHEMA_NOT_FOUND" });
  });

  test("a client that knows only the registry's address decodes a record", async () => {
    const url = inject("stack").registryUrl;
    const schema = schemaOf({ id: int64(), name: z.string().nullable() });
    const id = await createSchemaRegistry({ url }).ensure(`${randomName("topic")}-value`, schema, FULL);
    const columns = [
      { name: "id", typeOid: OID.int8 },
      { name: "name", typeOid: OID.text },
    ];
    const types: Record<number, PgType> = {
      [OID.int8]: { oid: OID.int8, name: "bigint", kind: "base", category: "N" },
      [OID.text]: { oid: OID.text, name: "text", kind: "base", category: "S" },
    };
    const catalog = { get: (oid: number) => types[oid] as PgType };
    const plain = new PlainRegistry({ host: url });
    const whole = compileRowEncoder(schema, columns, catalog, { prefix: wirePrefix(id) })(["42", "é"]);
    expect(await plain.decode(whole)).toEqual({ id: 42, name: "é" });
    expect(frame(id, compileRowEncoder(schema, columns, catalog)(["42", "é"]))).toEqual(whole);
    expect(unframe(whole).schemaId).toBe(id);
  });
});

describe("a registry that does not answer as it should", () => {
  test.each([
    [503, "REGISTRY_UNREACHABLE", true],
    [429, "REGISTRY_UNREACHABLE", true],
    [401, "REGISTRY_REFUSED", false],
    [403, "REGISTRY_REFUSED", false],
    [422, "REGISTRY_REFUSED", false],
  ])("status %i is %s", async (status, code, retryable) => {
    await using server = await answering((_path, respond) =>
      respond(status, { error_code: status, message: "the reason" }),
    );
    const registry = createSchemaRegistry({ url: server.url });
    await expect(registry.ensure("s", rich(), FULL)).rejects.toMatchObject({
      code,
      retryable,
      message: expect.stringContaining("the reason"),
    });
    await expect(registry.schemaById(1)).rejects.toMatchObject({ code, retryable });
  });

  test("nobody listens", async () => {
    const gone = await answering(() => {});
    await gone[Symbol.asyncDispose]();
    const registry = createSchemaRegistry({ url: gone.url });
    await expect(registry.schemaById(1)).rejects.toMatchObject({
      code: "REGISTRY_UNREACHABLE",
      retryable: true,
    });
  });

  test("an answer that never comes, or never ends, ends after the timeout", async () => {
    for (const begin of [false, true]) {
      await using server = await answering((_path, _respond, raw) => {
        if (begin) raw.write("{");
      });
      const registry = createSchemaRegistry({ url: server.url, timeoutMs: 200 });
      await expect(registry.schemaById(1)).rejects.toMatchObject({ code: "REGISTRY_UNREACHABLE" });
    }
  });

  test("a schema that could not be fetched is asked for again, one that was is not", async () => {
    let down = true;
    let asked = 0;
    await using server = await answering((path, respond) => {
      if (!path.startsWith("/schemas/ids/")) return respond(200, ["AVRO"]);
      asked++;
      respond(down ? 500 : 200, { schema: JSON.stringify(rich()) });
    });
    const registry = createSchemaRegistry({ url: server.url });
    await expect(registry.schemaById(7)).rejects.toMatchObject({ code: "REGISTRY_UNREACHABLE" });
    down = false;
    await Promise.all([registry.schemaById(7), registry.schemaById(7)]);
    expect(await registry.schemaById(7)).toEqual(rich());
    expect(asked).toBe(2);
  });

  test.each<[string, Record<string, [status: number, body: object]>, object]>([
    [
      "Confluent's, in a list of messages",
      {
        "/compatibility/subjects/s/versions?verbose=true": [
          200,
          { is_compatible: false, messages: ["a", "b"] },
        ],
      },
      { compatible: false, reasons: ["a", "b"] },
    ],
    [
      "Confluent's, compatible",
      { "/compatibility/subjects/s/versions?verbose=true": [200, { is_compatible: true, messages: [] }] },
      { compatible: true, reasons: [] },
    ],
    [
      "Apicurio's, with one reason",
      { "/compatibility/subjects/s/versions?verbose=true": [200, { is_compatible: false, reason: "a" }] },
      { compatible: false, reasons: ["a"] },
    ],
    [
      "one that gives no reason",
      { "/compatibility/subjects/s/versions?verbose=true": [200, { is_compatible: false }] },
      { compatible: false, reasons: [] },
    ],
    [
      "one that has no subject of that name",
      { "/compatibility/subjects/s/versions?verbose=true": [404, { error_code: 40401, message: "no" }] },
      { compatible: true, reasons: [] },
    ],
    [
      "one that can only be asked about each version",
      {
        "/compatibility/subjects/s/versions?verbose=true": [405, { error_code: 405, message: "no" }],
        "/subjects/s/versions": [200, [1, 2]] as never,
        "/compatibility/subjects/s/versions/1?verbose=true": [
          200,
          { is_compatible: false, messages: ["one"] },
        ],
        "/compatibility/subjects/s/versions/2?verbose=true": [200, { is_compatible: true }],
      },
      { compatible: false, reasons: ["one"] },
    ],
    [
      "one that says it by a status",
      { "/compatibility/subjects/s/versions?verbose=true": [409, { error_code: 409, message: "why" }] },
      { compatible: false, reasons: ["why"] },
    ],
  ])("a dry run understands the answer of %s", async (_name, answers, expected) => {
    await using server = await answering((path, respond) => {
      const [status, body] = answers[path] ?? (path === "/schemas/types" ? [200, ["AVRO"]] : [500, {}]);
      respond(status, body);
    });
    expect(await createSchemaRegistry({ url: server.url }).dryRun("s", rich())).toEqual(expected);
  });

  test("basic authentication is sent, from the option or the address, and shown nowhere", async () => {
    const seen: (string | undefined)[] = [];
    await using server = await answering((_path, respond, _raw, authorization) => {
      seen.push(authorization);
      respond(401, {});
    });
    const inUrl = server.url.replace("//", "//me:s%40cret@");
    const options = [{ url: inUrl }, { url: server.url, auth: { username: "me", password: "s@cret" } }];
    for (const each of options) {
      const error = await createSchemaRegistry(each)
        .schemaById(1)
        .catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "REGISTRY_REFUSED", message: expect.not.stringContaining("cret") });
    }
    expect(new Set(seen)).toEqual(new Set([`Basic ${Buffer.from("me:s@cret").toString("base64")}`]));
  });
});

type Answer = (
  path: string,
  respond: (status: number, body: unknown) => void,
  raw: { write(text: string): void },
  authorization: string | undefined,
) => void;

/** An HTTP server that fails the way a test wants, as no real registry can be made to. */
async function answering(answer: Answer): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    const respond = (status: number, body: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    answer(request.url ?? "", respond, response, request.headers.authorization);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
