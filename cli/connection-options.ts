import { type Command, Option } from "commander";
import { RejotError } from "../shared/errors/error.ts";
import { parseConnectionString } from "../shared/manifest/connection-string.ts";
import { type Connection, connection } from "../shared/manifest/schema.ts";
import { hasSecretReference, soleReference } from "../shared/manifest/secrets.ts";
import { describeZodIssues } from "../shared/manifest/zod-issues.ts";

/** The flags that describe a connection. */
export interface ConnectionFlags {
  connectionString?: string;
  type?: "postgres" | "kafka";
  host?: string;
  port?: string;
  user?: string;
  password?: string;
  database?: string;
  ssl?: boolean;
  brokers?: string;
  schemaRegistry?: string;
  topicPrefix?: string;
  partitions?: string;
  replicationFactor?: string;
  clientId?: string;
  saslMechanism?: string;
  saslUsername?: string;
  saslPassword?: string;
}

/** Adds the flags to a command. */
export function addConnectionFlags(command: Command): Command {
  return command
    .option(
      "--connection-string <url>",
      "postgres://user@host:port/database; may hold ${ENV_VAR} for any part, or be one: '${DATABASE_URL}'",
    )
    .addOption(new Option("--type <type>", "what is connected to").choices(["postgres", "kafka"]))
    .option("--host <host>", "Postgres: host name, address or socket folder; or several, a,b")
    .option("--port <port>", "Postgres: port, or one for each host (default: 5432)")
    .option("--user <user>", "Postgres: user")
    .option("--password <password>", "Postgres: write '${ENV_VAR}'; leave it out for peer, trust or .pgpass")
    .option("--database <database>", "Postgres: database")
    .option("--ssl", "encrypt the connection and check the server's certificate")
    .option("--brokers <host:port,...>", "Kafka: bootstrap brokers")
    .option("--schema-registry <url>", "Kafka: the schema registry's base URL")
    .option("--topic-prefix <prefix>", "Kafka: put before every topic, group and transactional id")
    .option("--partitions <n>", "Kafka: partitions of topics that are created (default: 6)")
    .option("--replication-factor <n>", "Kafka: replicas of topics that are created (default: the broker's)")
    .option("--client-id <id>", "Kafka: client id")
    .addOption(
      new Option("--sasl-mechanism <mechanism>", "Kafka: how to sign in").choices([
        "plain",
        "scram-sha-256",
        "scram-sha-512",
      ]),
    )
    .option("--sasl-username <name>", "Kafka: user name")
    .option("--sasl-password <password>", "Kafka: write '${ENV_VAR}'");
}

/** A connection made from flags, and what a person should know about it. */
export interface BuiltConnection {
  readonly connection: Connection;
  readonly warnings: readonly string[];
}

/** Makes a connection of the flags. Throws USAGE or CONNECTION_STRING_INVALID. */
export function buildConnection(slug: string, flags: ConnectionFlags): BuiltConnection {
  const config = rawConfig(flags);
  const result = connection.safeParse({ slug, config: config.value });
  if (!result.success) throw usage(describeZodIssues(result.error).join("; "));
  return { connection: result.data, warnings: [...config.warnings, ...secretWarnings(flags, slug)] };
}

function rawConfig(flags: ConnectionFlags): { value: object; warnings: string[] } {
  if (flags.connectionString !== undefined) {
    const beside = Object.keys(flags).filter((name) => name !== "connectionString" && name !== "type");
    if (beside.length > 0)
      throw usage(`--connection-string already says all; leave out ${flagNames(beside)}`);
    if (flags.type === "kafka") throw usage("a kafka connection has no connection string; use --brokers");
    return fromConnectionString(flags.connectionString);
  }
  if (flags.type === undefined) throw usage("give --connection-string, or --type with its flags");
  return { value: flags.type === "kafka" ? kafkaConfig(flags) : postgresConfig(flags), warnings: [] };
}

function fromConnectionString(text: string): { value: object; warnings: string[] } {
  if (soleReference(text) !== undefined) {
    return { value: { connectionType: "postgres", connectionString: text }, warnings: [] };
  }
  const { connection: value, ignoredParameters } = parseConnectionString(text);
  const warnings = ignoredParameters.map(
    (name) => `the parameter "${name}" of the connection string is not used`,
  );
  return { value, warnings };
}

function postgresConfig(flags: ConnectionFlags): object {
  require(flags, ["host", "user", "database"]);
  refuse(flags, ["brokers", "schemaRegistry", "topicPrefix", "partitions", "replicationFactor", "clientId"]);
  refuse(flags, ["saslMechanism", "saslUsername", "saslPassword"]);
  const { host, user, password, database, ssl } = flags;
  const port = flags.port === undefined ? 5432 : portOf(flags.port);
  return withoutUndefined({ connectionType: "postgres", host, port, user, password, database, ssl });
}

function kafkaConfig(flags: ConnectionFlags): object {
  require(flags, ["brokers", "schemaRegistry"]);
  refuse(flags, ["host", "port", "user", "password", "database"]);
  const brokers = (flags.brokers ?? "").split(",").map((broker) => broker.trim());
  const wrong = brokers.find((broker) => !hasSecretReference(broker) && !/^.+:[0-9]+$/.test(broker));
  if (wrong !== undefined) throw usage(`--brokers: "${wrong}" is not host:port`);
  return withoutUndefined({
    connectionType: "kafka",
    brokers,
    schemaRegistry: registryOf(flags.schemaRegistry ?? ""),
    topicPrefix: flags.topicPrefix,
    partitions: flags.partitions === undefined ? undefined : wholeNumber(flags.partitions, "--partitions"),
    replicationFactor:
      flags.replicationFactor === undefined
        ? undefined
        : wholeNumber(flags.replicationFactor, "--replication-factor"),
    clientId: flags.clientId,
    ssl: flags.ssl,
    sasl: saslOf(flags),
  });
}

/** User and password that stand in the registry's URL belong in `auth`, where they are never logged. */
function registryOf(url: string): object {
  const match = /^(https?:\/\/)(?:([^:@/]+):([^@/]*)@)?(.+)$/.exec(url);
  if (match === null) {
    if (hasSecretReference(url)) return { url };
    // What has another form may hold a password all the same.
    throw usage("--schema-registry does not begin with http:// or https://");
  }
  const [, scheme = "", username, password = "", rest = ""] = match;
  return { url: `${scheme}${rest}`, ...(username === undefined ? {} : { auth: { username, password } }) };
}

function saslOf(flags: ConnectionFlags): object | undefined {
  const { saslMechanism: mechanism, saslUsername: username, saslPassword: password } = flags;
  if (mechanism === undefined && username === undefined && password === undefined) return undefined;
  require(flags, ["saslMechanism", "saslUsername", "saslPassword"]);
  return { mechanism, username, password };
}

function secretWarnings(flags: ConnectionFlags, slug: string): string[] {
  const inString =
    flags.connectionString === undefined || soleReference(flags.connectionString) !== undefined
      ? undefined
      : parseConnectionString(flags.connectionString).connection.password;
  const plain = [flags.password, flags.saslPassword, inString].some(
    (password) => password !== undefined && !hasSecretReference(password),
  );
  if (!plain) return [];
  const variable = `${slug.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}_PASSWORD`;
  return [
    `the password now stands in the manifest in clear; write '\${${variable}}' in its place (in single quotes) and set that variable where the connectors run`,
  ];
}

function require(flags: ConnectionFlags, names: (keyof ConnectionFlags)[]): void {
  const missing = names.filter((name) => flags[name] === undefined);
  if (missing.length > 0) throw usage(`missing ${flagNames(missing)}`);
}

function refuse(flags: ConnectionFlags, names: (keyof ConnectionFlags)[]): void {
  const wrong = names.filter((name) => flags[name] !== undefined);
  if (wrong.length > 0) throw usage(`${flagNames(wrong)} mean nothing to a ${flags.type} connection`);
}

function flagNames(names: readonly string[]): string {
  return names.map((name) => `--${name.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`).join(", ");
}

function wholeNumber(text: string, flag: string): number {
  if (!/^[0-9]+$/.test(text)) throw usage(`${flag}: "${text}" is not a number`);
  return Number(text);
}

/** A number, a reference to one, or a list with one for each host. */
function portOf(text: string): number | string {
  if (hasSecretReference(text) || /^[0-9]+(,[0-9]+)+$/.test(text)) return text;
  return wholeNumber(text, "--port");
}

function withoutUndefined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined));
}

function usage(detail: string): RejotError {
  return new RejotError("USAGE", { detail });
}
