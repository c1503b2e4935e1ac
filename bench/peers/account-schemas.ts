/**
 * The schemas that Debezium's source derives from the accounts table, as its converter would register them. It finds
 * them registered: to derive and compare one for each record costs it a third of its speed, and its users can avoid
 * that too.
 */
export async function registerAccountSchemas(registryUrl: string, topicPrefix: string): Promise<void> {
  const namespace = `${topicPrefix}.public.accounts`;
  await register(registryUrl, `${namespace}-key`, {
    type: "record",
    name: "Key",
    namespace,
    fields: [{ name: "id", type: "long" }],
    "connect.name": `${namespace}.Key`,
  });
  const time = { type: "string", "connect.version": 1, "connect.name": "io.debezium.time.ZonedTimestamp" };
  await register(registryUrl, `${namespace}-value`, {
    type: "record",
    name: "Value",
    namespace,
    fields: [
      { name: "id", type: "long" },
      { name: "email", type: "string" },
      { name: "first_name", type: "string" },
      { name: "last_name", type: "string" },
      { name: "balance", type: "string" },
      { name: "created_at", type: time },
      { name: "note", type: ["null", "string"], default: null },
    ],
    "connect.name": `${namespace}.Value`,
  });
}

async function register(registryUrl: string, subject: string, schema: object): Promise<void> {
  const response = await fetch(`${registryUrl}/subjects/${subject}/versions`, {
    method: "POST",
    headers: { "content-type": "application/vnd.schemaregistry.v1+json" },
    body: JSON.stringify({ schema: JSON.stringify(schema) }),
  });
  if (!response.ok) throw new Error(`the registry refuses ${subject}: ${await response.text()}`);
}
