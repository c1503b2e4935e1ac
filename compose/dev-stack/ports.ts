import { createServer, type Server } from "node:net";
import { RejotError } from "../../shared/errors/error.ts";

/** Every server of the stack listens on loopback only. */
export const LOOPBACK = "127.0.0.1";

/**
 * Below the range that systems take ports for outgoing connections from (Linux: 32768 and up): a port from
 * that range may be taken by any client while its server restarts, and a client that retries on it can even
 * connect to itself.
 */
const FIRST_PORT = 15_000;
const PORT_COUNT = 17_000;

const handedOut = new Set<number>();

/** Finds `count` ports that nothing listens on; no port is handed out twice by one process. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  try {
    while (ports.length < count) {
      const port = FIRST_PORT + Math.floor(Math.random() * PORT_COUNT);
      if (handedOut.has(port)) continue;
      const server = await listen(port);
      if (server === undefined) continue;
      handedOut.add(port);
      held.push(server);
      ports.push(port);
    }
    return ports;
  } finally {
    await Promise.all(held.map(close));
  }
}

/** Finds one port that nothing listens on. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

/** Throws STACK_PORT_TAKEN when something listens on the port. */
export async function requireFreePort(port: number, user: string): Promise<void> {
  const server = await listen(port);
  if (server === undefined) {
    throw new RejotError("STACK_PORT_TAKEN", { detail: `${user} wants port ${port}`, context: { port } });
  }
  await close(server);
}

/** Undefined when the port is taken or may not be used. */
async function listen(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => resolve(server));
  });
}

async function close(server: Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}
