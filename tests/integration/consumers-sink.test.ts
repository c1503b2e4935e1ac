import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, inject, test } from "vitest";
import { publishedUsages } from "../../shared/registry/published-usages.ts";
import { startSink } from "../support/running-sink.ts";
import { type SinkFixture, sinkFixture } from "../support/sink-fixture.ts";
import { stackRegistry } from "../support/teams.ts";
import { waitFor } from "../support/wait-for.ts";

const ITEM = {
  name: "item",
  properties: { id: { type: "integer" }, label: { type: "string" } },
  required: ["id", "label"],
  key: ["id"],
  partitions: 1,
};
const SQL = "INSERT INTO item (id, label)\nVALUES (:id, :label)";

function fixtureOf(
  adapt: NonNullable<Parameters<typeof sinkFixture>[0]["adapt"]> = () => {},
): Promise<SinkFixture> {
  return sinkFixture({
    schemas: [ITEM],
    consumers: [{ name: "items", schema: "item", sql: SQL, deletes: "ignore" }],
    sql: "CREATE TABLE item (id bigint, label text)",
    adapt,
  });
}

const event = (id: number) => ({ key: { id }, value: { id, label: "x" } });
const count = async ({ database }: SinkFixture) =>
  Number((await database.query("SELECT count(*) FROM item"))[0]?.count);

test("a sink tells the registry what it uses, once it knows the schema; told not to, it does not", async () => {
  await using fixture = await fixtureOf();
  const told = () => publishedUsages(stackRegistry(), [fixture.topic("item")]);
  {
    await using sink = await startSink(fixture.manifestPath, { registerConsumers: "false" });
    await fixture.publish("item", [event(1)]);
    await sink.eventually(async () => (await count(fixture)) === 1, "the event");
  }
  expect(await told()).toEqual([]);
  await using sink = await startSink(fixture.manifestPath);
  const [published] = await sink.eventually(
    async () => ((await told()).length > 0 ? told() : undefined),
    "the entry",
  );
  expect(published).toMatchObject({
    subject: `${fixture.topic("item")}-consumer.fixture.items`,
    usage: {
      manifestSlug: "fixture",
      name: "items",
      group: fixture.group,
      reads: { manifestSlug: "fixture", name: "item", majorVersion: 1 },
      uses: [
        { statement: "sql", placeholder: ":id", field: "id", at: { line: 2, column: 9 } },
        { statement: "sql", placeholder: ":label", field: "label", at: { line: 2, column: 14 } },
      ],
      fields: [
        { name: "id", type: "long" },
        { name: "label", type: "string" },
      ],
    },
  });
  expect(sink.unit().details?.warnings).toBeUndefined();
});

test("a registry that refuses to be told stops no event; the status says so", async () => {
  await using registry = await readOnlyRegistry();
  await using fixture = await fixtureOf((manifest) => {
    const config = manifest.connections?.find(({ slug }) => slug === "events")?.config;
    if (config?.connectionType === "kafka") config.schemaRegistry.url = registry.url;
  });
  await fixture.publish("item", [event(1)]);
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await count(fixture)) === 1, "the event");
  await sink.eventually(async () => sink.unit().details?.warnings, "the warning");
  expect(sink.unit().details?.warnings).toEqual([
    {
      code: "CONSUMER_NOT_REGISTERED",
      message: expect.stringMatching(/REGISTRY_REFUSED: .*status 403/),
      hint: expect.stringContaining("register-consumers"),
    },
  ]);
  await fixture.publish("item", [event(2)]);
  await sink.eventually(async () => (await count(fixture)) === 2, "the second event");
  expect(sink.unit()).toMatchObject({ role: "active", lastError: null });
});

test("deletes that are published and not answered are refused at the start, in the words of the check", async () => {
  await using fixture = await fixtureOf((manifest) => {
    const [schema] = manifest.publicSchemas ?? [];
    const [consumer] = manifest.consumerSchemas ?? [];
    schema?.config.transformations.push({ operation: "delete", table: "item", sql: "SELECT :id AS id" });
    delete consumer?.config.deletes;
  });
  await expect(startSink(fixture.manifestPath)).rejects.toMatchObject({
    code: "DELETE_SQL_MISSING",
    message: expect.stringContaining('"items" (fixture/items)'),
  });
});

/** The run's registry for an account that may only read. */
async function readOnlyRegistry(): Promise<AsyncDisposable & { url: string }> {
  const target = inject("stack").registryUrl;
  const server = createServer((request, response) => {
    const writes = request.method === "PUT" || /\/versions$/.test(request.url ?? "");
    if (request.method !== "GET" && writes) {
      response.writeHead(403, { "content-type": "application/json" }).end('{"message":"read only"}');
      return;
    }
    void forward(`${target}${request.url}`, request).then(
      ({ status, body }) => response.writeHead(status, { "content-type": "application/json" }).end(body),
      () => response.writeHead(502).end(),
    );
  });
  server.listen(0, "127.0.0.1");
  const { port } = await waitFor(async () => server.address() as AddressInfo | null, { describe: "a port" });
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function forward(
  url: string,
  request: AsyncIterable<Buffer> & { method?: string | undefined },
): Promise<{ status: number; body: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const answer = await fetch(url, {
    method: request.method ?? "GET",
    headers: { "content-type": "application/json" },
    ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
  });
  return { status: answer.status, body: await answer.text() };
}
