import { RejotError } from "../shared/errors/error.ts";
import type { PostgresConnection } from "../shared/manifest/schema.ts";
import {
  connectPostgres,
  endPostgres,
  isOverdue,
  isTransientPostgresError,
  type PostgresClient,
  postgresError,
  sqlState,
  writableServer,
} from "../shared/postgres/client.ts";
import type { SessionContext } from "./session-context.ts";
import { takeTransformationRole, transformationConnection } from "./transformation-connection.ts";

/** A session's connections to its server, which end with it, and which end it when one breaks. */
export class SessionConnections {
  /** Where the connection names several, all of a session happens on the same. */
  readonly server: PostgresConnection;
  readonly #context: SessionContext;
  readonly #cleanup: AsyncDisposableStack;
  readonly #all: PostgresClient[] = [];
  #lost: RejotError | undefined;

  private constructor(context: SessionContext, cleanup: AsyncDisposableStack, server: PostgresConnection) {
    this.#context = context;
    this.#cleanup = cleanup;
    this.server = server;
  }

  /** Finds the server that takes writes. Throws POSTGRES_*. */
  static async open(context: SessionContext, cleanup: AsyncDisposableStack): Promise<SessionConnections> {
    const { source, applicationName } = context;
    return new SessionConnections(
      context,
      cleanup,
      await writableServer(source.connection, { applicationName }),
    );
  }

  /** Set when one of the connections broke. */
  get lost(): RejotError | undefined {
    return this.#lost;
  }

  /** Throws POSTGRES_*. */
  async connect(settings: Record<string, string> = {}, queryTimeoutMs?: number): Promise<PostgresClient> {
    const client = await connectPostgres(this.server, {
      applicationName: this.#context.applicationName,
      settings,
      ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }),
    });
    this.#cleanup.defer(() => endPostgres(client));
    this.#all.push(client);
    // Emitted whenever a connection breaks, before its queries fail.
    client.on("error", (cause) => {
      this.#lost ??= postgresError(cause, "the connection was lost");
      this.#context.buffer.fail(this.#lost);
    });
    return client;
  }

  /** For the teams' SQL: read-only, and with the rights of the role that the settings name. Throws POSTGRES_*. */
  async connectForTransformations(): Promise<PostgresClient> {
    const { config } = this.#context;
    const { settings, queryTimeoutMs } = transformationConnection(config);
    const client = await this.connect(settings, queryTimeoutMs);
    await takeTransformationRole(client, config);
    return client;
  }

  /** Ends all: whoever waits for an answer on one of them would wait for ever. */
  end(): void {
    for (const connection of this.#all) void endPostgres(connection);
  }

  /** A query that fails because its connection broke says so in words only. */
  named(error: unknown): unknown {
    if (error instanceof RejotError) return error;
    if (this.#lost !== undefined) return this.#lost;
    const transient = isOverdue(error) || (sqlState(error) !== undefined && isTransientPostgresError(error));
    return transient ? postgresError(error, "preparing") : error;
  }
}
