import { Command, InvalidArgumentError } from "commander";
import { describeError, RejotError } from "../../shared/errors/error.ts";
import { ERRORS } from "../../shared/errors/table.ts";
import { type Stack, startStack } from "./stack.ts";

/** npm passes Ctrl-C on to a process that the terminal has told already; within this time it is the same one. */
const SAME_SIGNAL_MS = 500;

const options = new Command("npm run stack --")
  .description("Starts a real Postgres, Kafka and schema registry until Ctrl-C, and leaves nothing behind.")
  .option("--postgres-port <port>", "port of Postgres", parsePort, 5432)
  .option("--kafka-port <port>", "port of Kafka", parsePort, 9092)
  .option("--registry-port <port>", "port of the schema registry", parsePort, 8081)
  .option("--data-dir <path>", "where the directory for data and logs is made (default: the temporary one)")
  .parse()
  .opts<{ postgresPort: number; kafkaPort: number; registryPort: number; dataDir?: string }>();

let stack: Stack | undefined;
let firstSignalMs: number | undefined;
const interrupted = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      const nowMs = Date.now();
      if (firstSignalMs === undefined) {
        firstSignalMs = nowMs;
        resolve();
      } else if (nowMs - firstSignalMs > SAME_SIGNAL_MS) {
        // The guardian process removes what is left.
        process.exit(130);
      }
    });
  }
});

process.exitCode = await run().catch((error: unknown) => {
  console.error(describeError(error));
  return error instanceof RejotError ? ERRORS[error.code].exitCode : 1;
});
// A download or a start that was interrupted may still be under way.
process.exit();

async function run(): Promise<number> {
  const starting = startStack({
    ports: { postgres: options.postgresPort, kafka: options.kafkaPort, registry: options.registryPort },
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    env: process.env,
    onProgress: (line) => console.error(line),
  });
  stack = await Promise.race([starting, interrupted.then(() => undefined)]);
  if (stack === undefined) return 130;
  print(stack);
  const { postgres, kafka, registry } = stack;
  const ended = await Promise.race([
    interrupted.then(() => undefined),
    ...[postgres, kafka, registry].map((server) => server.ended.then(() => server)),
  ]);
  if (ended === undefined) {
    console.error("stopping");
    await stack.stop();
    return 0;
  }
  const failure = await ended.failure("it ended by itself");
  await stack.stop();
  throw failure;
}

function print({ postgres, kafka, registry, directory }: Stack): void {
  console.log(`
  Postgres  ${postgres.url()}
  Kafka     ${kafka.brokers.join(",")}
  Registry  ${registry.url}
  Logs      ${directory}

Ctrl-C ends the servers and removes their data.`);
}

function parsePort(value: string): number {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError("a port is a number from 1 to 65535");
  return port;
}
