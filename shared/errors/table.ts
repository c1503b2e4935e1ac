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
} as const satisfies Record<string, ErrorEntry>;

/** The code of an error, a key of the error table. */
export type ErrorCode = keyof typeof ERRORS;
