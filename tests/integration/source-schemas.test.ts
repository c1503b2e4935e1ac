import { readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { expect, inject, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import { createSchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { startRecordingRegistry } from "../support/recording-registry.ts";
import { runCliIn } from "../support/run-cli.ts";
import { createSourceFixture, type SourceFixture, transformationsOf } from "../support/source.ts";

const TABLE = "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL, n int NOT NULL DEFAULT 1)";

function fixtureOf(registryUrl = inject("stack").registryUrl): Promise<SourceFixture> {
  const transformations = transformationsOf("accounts", "SELECT id, name, n FROM accounts WHERE id = :id");
  return createSourceFixture({
    sql: TABLE,
    stack: { ...inject("stack"), registryUrl },
    schemas: [
      {
        name: "account",
        fields: { id: "integer", name: "string", n: "integer" },
        key: ["id"],
        transformations,
      },
    ],
  });
}

/** Changes the output schema in the manifest's file. */
async function redefine(
  fixture: SourceFixture,
  change: (properties: Record<string, object>) => void,
): Promise<void> {
  const manifest = JSON.parse(await readFile(fixture.manifestPath, "utf8"));
  change(manifest.publicSchemas[0].outputSchema.properties);
  await writeFile(fixture.manifestPath, JSON.stringify(manifest));
}

async function refusal(fixture: SourceFixture, config = {}): Promise<RejotError> {
  const source = await fixture.create(config);
  source.done.catch(() => {});
  const error = await source.start(new AbortController().signal).then(
    () => new Error("it started"),
    (reason: unknown) => reason,
  );
  await source.stop();
  if (!(error instanceof RejotError)) throw error;
  return error;
}

function schema(fixture: SourceFixture, ...args: string[]) {
  return runCliIn(dirname(fixture.manifestPath), ["schema", ...args]);
}

test("a source refuses at its start what the check refuses, with the same words, and registers nothing", async () => {
  await using fixture = await fixtureOf();
  await (await fixture.start()).stop();
  await redefine(fixture, (properties) => {
    properties.n = { type: "string" };
    properties.name = { type: ["string", "null"] };
  });
  const error = await refusal(fixture);
  expect(error).toMatchObject({ code: "SCHEMA_INCOMPATIBLE", retryable: false });
  const [, ...lines] = error.detail.split("\n  - ");
  expect(lines).toEqual([
    '"name" may be null now: consumers with the old schema cannot read a null (against version 1 in the registry; it needs version 2.0)',
    '"n" is string now, it was long: neither old nor new consumers can read the other\'s events (against version 1 in the registry; it needs version 2.0)',
  ]);
  const check = await schema(fixture, "check", "--against", "registry");
  expect(check.exitCode).toBe(1);
  for (const line of lines) expect(check.stderr).toContain(line);
  const registry = createSchemaRegistry({ url: inject("stack").registryUrl });
  expect(await registry.versions(`${fixture.topicOf("account")}-value`)).toHaveLength(1);
});

test("a source refuses also what only the registry would let pass", async () => {
  await using fixture = await fixtureOf();
  await (await fixture.start()).stop();
  await redefine(fixture, (properties) => {
    properties.name = { type: "string", format: "uuid" };
  });
  const error = await refusal(fixture);
  expect(error.code).toBe("SCHEMA_INCOMPATIBLE");
  expect(error.message).toContain('"name" is uuid now, it was string');
});

test("a source that may not register says which command does, registers nothing, and starts after it", async () => {
  await using fixture = await fixtureOf();
  const readOnly = { registerSchemas: "false" } as const;
  const error = await refusal(fixture, readOnly);
  expect(error.code).toBe("SCHEMA_NOT_REGISTERED");
  expect(error.message).toContain(
    `${fixture.topicOf("account")}-key and ${fixture.topicOf("account")}-value`,
  );
  expect(error.hint).toContain("rejot-kafka schema register");
  const registry = createSchemaRegistry({ url: inject("stack").registryUrl });
  expect(await registry.versions(`${fixture.topicOf("account")}-value`)).toEqual([]);

  expect((await schema(fixture, "register")).exitCode).toBe(0);
  await using source = await fixture.start(readOnly);
  await fixture.database.query("INSERT INTO accounts (id, name) VALUES (1, 'Ada')");
  await fixture.published();
  expect(source.status).toMatchObject({ role: "active" });
  expect((await fixture.read("account")).map(({ value }) => value)).toMatchObject([{ name: "Ada" }]);
});

test("a start with nothing new asks the registry twice for each subject, and changes nothing there", async () => {
  await using registry = await startRecordingRegistry(inject("stack").registryUrl);
  await using fixture = await fixtureOf(registry.url);
  await (await fixture.start()).stop();
  registry.requests.length = 0;
  await (await fixture.start()).stop();
  const topic = fixture.topicOf("account");
  expect(registry.requests.toSorted()).toEqual([
    `GET /config/${topic}-key`,
    `GET /config/${topic}-value`,
    `POST /subjects/${topic}-key`,
    `POST /subjects/${topic}-value`,
  ]);
});
