import { connect, createServer, type Socket } from "node:net";
import { freePort } from "../../compose/dev-stack/ports.ts";

/** A TCP proxy that a test breaks as networks break. `await using` closes it. */
export interface Proxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Closes all connections in order and refuses new ones, as a server that is down. */
  cut(): void;
  /** Refuses new connections, and leaves those that are open. */
  refuse(): void;
  /** Ends all connections by a reset; new ones are accepted. */
  reset(): void;
  /** Passes nothing on, in either direction, and closes nothing: a network that swallows packets. */
  stall(): void;
  /** Passes everything on, each piece so much later. 0 for at once. */
  delay(ms: number): void;
  /** Ends cut, refuse, stall and delay. */
  heal(): void;
  /** Connections open now. */
  readonly connections: number;
}

interface Link {
  client: Socket;
  server: Socket;
}

/** Starts a proxy on a free port before `target`. */
export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const links = new Set<Link>();
  let mode: "open" | "cut" | "stall" = "open";
  let delayMs = 0;

  const pipe = (from: Socket, to: Socket): void => {
    from.on("data", (chunk) => {
      if (delayMs === 0) to.write(chunk);
      else setTimeout(() => to.write(chunk), delayMs);
    });
    from.on("end", () => setTimeout(() => to.end(), delayMs));
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  };
  const listener = createServer((client) => {
    if (mode === "cut") {
      client.resetAndDestroy();
      return;
    }
    const server = connect(target);
    const link = { client, server };
    links.add(link);
    client.once("close", () => links.delete(link));
    pipe(client, server);
    pipe(server, client);
    if (mode === "stall") pause(link);
  });
  const port = await freePort();
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(port, "127.0.0.1", resolve);
  });
  const closeAll = (): void => {
    for (const { client, server } of links) {
      client.destroy();
      server.destroy();
    }
  };
  return {
    host: "127.0.0.1",
    port,
    get connections() {
      return links.size;
    },
    cut: () => {
      mode = "cut";
      closeAll();
    },
    refuse: () => {
      mode = "cut";
    },
    reset: () => {
      for (const { client, server } of links) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
    },
    stall: () => {
      mode = "stall";
      for (const link of links) pause(link);
    },
    delay: (ms) => {
      delayMs = ms;
    },
    heal: () => {
      mode = "open";
      delayMs = 0;
      for (const { client, server } of links) {
        client.resume();
        server.resume();
      }
    },
    [Symbol.asyncDispose]: async () => {
      closeAll();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function pause({ client, server }: Link): void {
  client.pause();
  server.pause();
}
