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
} as const satisfies Record<string, ErrorEntry>;

/** The code of an error, a key of the error table. */
export type ErrorCode = keyof typeof ERRORS;
