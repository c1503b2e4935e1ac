/** One row of the error table. */
export interface ErrorEntry {
  /** What happened, as the start of a sentence. */
  readonly title: string;
  /** Why it usually happens. */
  readonly cause: string;
  /** What the reader can do. */
  readonly hint: string;
  /** Whether the connectors try again by themselves. */
  readonly retryable: boolean;
  /** Exit code of a command that ends with it: 1 check failed or cannot run, 2 used wrongly, 3 server not reached. */
  readonly exitCode: 1 | 2 | 3;
}

/** Every error a user can meet. docs/errors.md is made from this table, and a test holds the two together. */
export const ERRORS = {
  INTERNAL_ERROR: {
    title: "Something failed that should not be able to fail",
    cause: "A defect in rejot-kafka.",
    hint: "Please report it with the log around it.",
    retryable: false,
    exitCode: 1,
  },
  USAGE: {
    title: "The command was not used as it is meant to be",
    cause: "A flag or an argument is missing, unknown or malformed.",
    hint: "Run the command with --help to see what it takes.",
    retryable: false,
    exitCode: 2,
  },
  MANIFEST_NOT_FOUND: {
    title: "The manifest could not be read",
    cause: "The file does not exist or may not be read.",
    hint: "Check the path, or make one with `rejot-kafka manifest init --slug <name>`.",
    retryable: false,
    exitCode: 1,
  },
  MANIFEST_NOT_JSON: {
    title: "The manifest is not valid JSON",
    cause: "A syntax error in the file, often a trailing comma or a missing quote.",
    hint: "Mend the file at the position named.",
    retryable: false,
    exitCode: 1,
  },
  MANIFEST_INVALID: {
    title: "The manifest does not have the form of a manifest",
    cause: "A key is missing, unknown or has a value of another type.",
    hint: "Correct the places named; the format is described in docs/manifest.md.",
    retryable: false,
    exitCode: 1,
  },
  CONFIG_INVALID: {
    title: "A setting is not valid",
    cause: "An environment variable or flag has a value outside of what the setting takes.",
    hint: "Correct the setting named.",
    retryable: false,
    exitCode: 2,
  },
  SECRET_NOT_FOUND: {
    title: "A secret that the manifest refers to could not be resolved",
    cause: "The environment variable is not set or the file cannot be read.",
    hint: "Set the variable or mount the file before starting.",
    retryable: false,
    exitCode: 1,
  },
  CHANGE_HEADER_INVALID: {
    title: "A record has no valid rejot.change header",
    cause: "Something other than the source connector wrote to the topic.",
    hint: "Find the foreign producer and take its write permission for the topic away.",
    retryable: false,
    exitCode: 1,
  },
  POSTGRES_UNREACHABLE: {
    title: "Postgres could not be reached",
    cause: "The server is down, restarting or not reachable under the address of the connection.",
    hint: "Check host and port of the connection; the connectors keep trying.",
    retryable: true,
    exitCode: 3,
  },
  POSTGRES_REFUSED: {
    title: "Postgres refused the connection",
    cause: "A wrong user or password, an unknown database, or a missing right.",
    hint: "Check user, password and database of the connection with psql.",
    retryable: false,
    exitCode: 1,
  },
  SQL_DOES_NOT_PARSE: {
    title: "Postgres's parser does not accept the SQL",
    cause: "A syntax error in a transformation or in a consumer schema's statement.",
    hint: "Correct the statement at the place named; psql shows the same error.",
    retryable: false,
    exitCode: 1,
  },
  SQL_NOT_ONE_STATEMENT: {
    title: "A schema's SQL must be exactly one statement",
    cause: "The text is empty or holds several statements.",
    hint: "Write one statement; use WITH or a function where several steps are needed.",
    retryable: false,
    exitCode: 1,
  },
  SQL_PLACEHOLDERS_MIXED: {
    title: "Named and positional placeholders are mixed in one statement",
    cause: "The statement uses both :name and $1.",
    hint: "Use one of the two forms throughout the statement.",
    retryable: false,
    exitCode: 1,
  },
  STOP_DEADLINE: {
    title: "Stopping took too long and was given up",
    cause: "A server that the work in progress waits for does not answer.",
    hint: "Nothing is lost: the next start goes on from the last confirmed position.",
    retryable: false,
    exitCode: 1,
  },
  HTTP_LISTEN_FAILED: {
    title: "The HTTP server could not listen",
    cause: "The port is taken, or the host is no address of this machine.",
    hint: "Choose another port with --api-port or another address with --hostname.",
    retryable: false,
    exitCode: 1,
  },
  HTTP_TLS_INVALID: {
    title: "The certificate or key of the HTTP server cannot be used",
    cause: "A file is missing or unreadable, or certificate and key do not belong together.",
    hint: "Check the two paths; both files are PEM.",
    retryable: false,
    exitCode: 1,
  },
  HTTP_ROUTE_NOT_FOUND: {
    title: "There is no such route",
    cause: "The path is not one that the connector serves.",
    hint: "GET / lists the routes.",
    retryable: false,
    exitCode: 1,
  },
  HTTP_METHOD_NOT_ALLOWED: {
    title: "The route does not take this method",
    cause: "All routes are read with GET.",
    hint: "Use GET.",
    retryable: false,
    exitCode: 1,
  },
  HTTP_UNAUTHORIZED: {
    title: "The request carries no valid token",
    cause: "The server was started with a token, and the Authorization header is missing or differs.",
    hint: "Send the header `Authorization: Bearer <token>`.",
    retryable: false,
    exitCode: 1,
  },
  READ_REQUEST_INVALID: {
    title: "The query of /read is not valid",
    cause: "cursors is missing or malformed, or limit is not a number from 1 to 1000.",
    hint: "docs/http.md shows the form of the query.",
    retryable: false,
    exitCode: 1,
  },
  READ_SCHEMA_UNKNOWN: {
    title: "This connector does not serve the public schema",
    cause: "No manifest it was started with defines the schema in that major version.",
    hint: "GET /public-schemas lists those it serves.",
    retryable: false,
    exitCode: 1,
  },
  READ_UNAVAILABLE: {
    title: "The events could not be read from Kafka",
    cause: "A broker is down or too slow, or a topic does not exist yet.",
    hint: "Try again; the cursor stays valid.",
    retryable: true,
    exitCode: 3,
  },
  CONNECTION_STRING_INVALID: {
    title: "The connection string could not be read",
    cause: "It is not of the form postgres://user@host:port/database.",
    hint: "Write postgres://user:${PASSWORD}@host:5432/database; percent-encode special characters of its parts.",
    retryable: false,
    exitCode: 2,
  },
  DUPLICATE_MANIFEST_SLUG: {
    title: "Two manifests have the same slug",
    cause: "A manifest was copied, or is named twice under different paths.",
    hint: "Give every manifest of a workspace a slug of its own.",
    retryable: false,
    exitCode: 1,
  },
  DUPLICATE_CONNECTION: {
    title: "Two connections of a manifest have the same slug",
    cause: "The connection was added twice.",
    hint: "Rename or remove one of them.",
    retryable: false,
    exitCode: 1,
  },
  DUPLICATE_DATA_STORE: {
    title: "Two data stores of a manifest use the same connection",
    cause: "The data store was added twice.",
    hint: "Remove one of them: rejot-kafka manifest datastore remove <slug>.",
    retryable: false,
    exitCode: 1,
  },
  DUPLICATE_PUBLIC_SCHEMA: {
    title: "Two public schemas have the same name and major version",
    cause: "The schema is defined twice, or copied without raising its version.",
    hint: "Rename one of them or raise its major version.",
    retryable: false,
    exitCode: 1,
  },
  DUPLICATE_CONSUMER_SCHEMA: {
    title: "Two consumer schemas of a manifest have the same name",
    cause: "The schema is defined twice.",
    hint: "Rename one of them.",
    retryable: false,
    exitCode: 1,
  },
  CONNECTION_NOT_FOUND: {
    title: "A connection is referred to that the manifest does not have",
    cause: "A misspelt slug, or the connection was removed.",
    hint: "Add it: rejot-kafka manifest connection add --slug <slug> …",
    retryable: false,
    exitCode: 1,
  },
  CONNECTION_TYPE_MISMATCH: {
    title: "A connection is of another type than its use needs",
    cause: "Data stores need a postgres connection, event stores a kafka connection.",
    hint: "Name a connection of the right type, or add one.",
    retryable: false,
    exitCode: 1,
  },
  DATA_STORE_NOT_FOUND: {
    title: "A data store is referred to that the manifest does not have",
    cause: "A misspelt slug, or the data store was not added.",
    hint: "Add it: rejot-kafka manifest datastore add --connection <slug>.",
    retryable: false,
    exitCode: 1,
  },
  DATA_STORE_MISSING_CONFIG: {
    title: "A data store that public schemas read from has no slot and publication",
    cause: "It was added as a destination only.",
    hint: "Add it again with --publication and --slot.",
    retryable: false,
    exitCode: 1,
  },
  EVENT_STORE_MISSING: {
    title: "The manifest has schemas but no Kafka event store",
    cause: "No event store was added, or only ones of another type.",
    hint: "rejot-kafka manifest connection add --slug events --type kafka --brokers localhost:9092 --schema-registry http://localhost:8081, then rejot-kafka manifest eventstore add --connection events.",
    retryable: false,
    exitCode: 1,
  },
  PUBLIC_SCHEMA_NOT_FOUND: {
    title: "A consumer schema refers to a public schema that its manifest does not have",
    cause: "A misspelt name, or the publishing team has not collected it yet.",
    hint: "Correct the name, or collect the publishing manifest first.",
    retryable: false,
    exitCode: 1,
  },
  UNUSED_CONNECTION: {
    title: "A connection is not used by any data store or event store",
    cause: "It was added but no data store or event store was.",
    hint: "Add a data store or event store for it, or remove it.",
    retryable: false,
    exitCode: 1,
  },
  VERSION_MISMATCH: {
    title: "A version is referred to that does not exist",
    cause: "The other side has moved to another version.",
    hint: "Refer to a version that exists.",
    retryable: false,
    exitCode: 1,
  },
  TOPIC_NAME_COLLISION: {
    title: "Two public schemas would share one Kafka topic",
    cause: "@org/x becomes org.x in topic names, so a dot in a schema's name can make two names equal.",
    hint: "Rename one of the schemas or manifests.",
    retryable: false,
    exitCode: 1,
  },
  TOPIC_NAME_INVALID: {
    title: "A name gives a topic name that Kafka refuses",
    cause: "Topic names hold letters, digits, dot, hyphen and underscore, 249 at most.",
    hint: "Rename the slug, schema or topic prefix.",
    retryable: false,
    exitCode: 1,
  },
  KEY_NOT_FOUND: {
    title: "The key of a public schema could not be found out",
    cause:
      "Neither `key` nor a delete transformation says it, and no selected column pins the changed row in WHERE.",
    hint: 'Add key: ["id"] to the public schema, naming fields of its output.',
    retryable: false,
    exitCode: 1,
  },
  KEY_FIELD_UNKNOWN: {
    title: "The key of a public schema names a field that it does not have",
    cause: "A misspelt field, or the delete transformation selects a column that is not part of the output.",
    hint: "Name fields of the output schema.",
    retryable: false,
    exitCode: 1,
  },
  KEY_FIELD_NULLABLE: {
    title: "A key field of a public schema may be null or absent",
    cause: "The output schema marks the field as nullable or optional.",
    hint: "A key identifies an object: make the field required, or choose another key.",
    retryable: false,
    exitCode: 1,
  },
} as const satisfies Record<string, ErrorEntry>;

/** The code of an error, a key of the error table. */
export type ErrorCode = keyof typeof ERRORS;
