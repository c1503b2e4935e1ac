import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "../../../compose/dev-stack/ports.ts";
import { rawWire, type Wire, type WireMessage } from "./wire.ts";

/** A message that is kept back, and everything behind it in its direction. */
export interface Hold {
  /** Resolves when the message has come. */
  readonly reached: Promise<WireMessage>;
  /** Passes it on. */
  release(): void;
  /** It never arrives, nor does anything behind it: its connection is gone. */
  drop(): void;
}

/** What a link has done so far; what shows that a fault happened. */
export interface LinkCounts {
  /** Connections that were taken. */
  readonly accepted: number;
  /** Connections that a cut, a reset, a stall or forgetting has hit. */
  readonly hit: number;
  /** Messages that were passed on. */
  readonly passed: number;
  /** Those of them that were passed on later than they came, by the delay. */
  readonly late: number;
}

interface Waiting {
  readonly matches: (message: WireMessage) => boolean;
  readonly reached: PromiseWithResolvers<WireMessage>;
  connection: Connection | undefined;
}

type Mode = "open" | "cut" | "stalled";

/** A TCP connection between a part of ours and a server, broken as networks break. `await using` closes it. */
export class Link implements AsyncDisposable {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #wire: () => Wire;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #holds = new Set<Waiting>();
  readonly #watches = new Set<Pick<Waiting, "matches" | "reached">>();
  readonly #counts = { accepted: 0, hit: 0, passed: 0, late: 0 };
  #mode: Mode = "open";
  #delayMs = 0;

  private constructor(port: number, target: { host: string; port: number }, wire: () => Wire) {
    this.port = port;
    this.#target = target;
    this.#wire = wire;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** Listens on a port, by default a free one. */
  static async start(
    target: { host: string; port: number },
    wire: () => Wire = rawWire,
    port?: number,
  ): Promise<Link> {
    const link = new Link(port ?? (await freePort()), target, wire);
    await new Promise<void>((resolve, reject) => {
      link.#server.once("error", reject);
      link.#server.listen(link.port, link.host, resolve);
    });
    return link;
  }

  get counts(): LinkCounts {
    return { ...this.#counts };
  }

  /** Ends all connections and refuses new ones, as a server that is down. */
  cut(): void {
    this.#mode = "cut";
    this.#counts.hit += this.#connections.size;
    for (const connection of this.#connections) connection.destroy();
  }

  /** Ends all connections by a reset; new ones are taken. */
  reset(): void {
    this.#counts.hit += this.#connections.size;
    for (const connection of this.#connections) connection.reset();
  }

  /** Passes nothing on and closes nothing, also of new connections; `heal` lets all of it through, late. */
  stall(): void {
    this.#mode = "stalled";
    this.#counts.hit += this.#connections.size;
    for (const connection of this.#connections) connection.stall(true);
  }

  /** Forgets the connections of now, as a firewall does: both ends keep them and hear nothing. New ones are taken. */
  forget(which: (connection: { readonly startup: string }) => boolean = () => true): number {
    let count = 0;
    for (const connection of this.#connections) {
      if (!which(connection)) continue;
      connection.forget();
      count++;
    }
    this.#counts.hit += count;
    return count;
  }

  /** How many of the connections of now are such. */
  count(which: (connection: { readonly startup: string }) => boolean): number {
    return [...this.#connections].filter(which).length;
  }

  /** Passes everything on so much later. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  heal(): void {
    this.#mode = "open";
    this.#delayMs = 0;
    for (const connection of this.#connections) connection.stall(false);
  }

  /** Keeps back the next message that matches. */
  hold(matches: (message: WireMessage) => boolean): Hold {
    const waiting: Waiting = { matches, reached: Promise.withResolvers(), connection: undefined };
    this.#holds.add(waiting);
    return {
      reached: waiting.reached.promise,
      release: () => {
        this.#holds.delete(waiting);
        waiting.connection?.release();
      },
      drop: () => {
        this.#holds.delete(waiting);
        waiting.connection?.drop();
      },
    };
  }

  /** Resolves when the next message that matches has come; it is passed on like all others. */
  seen(matches: (message: WireMessage) => boolean): Promise<WireMessage> {
    const reached = Promise.withResolvers<WireMessage>();
    this.#watches.add({ matches, reached });
    return reached.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.#mode === "cut") {
      client.on("error", () => {});
      client.resetAndDestroy();
      return;
    }
    this.#counts.accepted++;
    const connection: Connection = new Connection(client, connect(this.#target), this.#wire(), {
      delayMs: () => this.#delayMs,
      isHeld: (message) => this.#isHeld(message, connection),
      closed: () => this.#connections.delete(connection),
      passed: (lateMs) => {
        this.#counts.passed++;
        if (lateMs > 0) this.#counts.late++;
      },
    });
    this.#connections.add(connection);
    if (this.#mode === "stalled") connection.stall(true);
  }

  #isHeld(message: WireMessage, connection: Connection): boolean {
    for (const watch of this.#watches) {
      if (!watch.matches(message)) continue;
      this.#watches.delete(watch);
      watch.reached.resolve(message);
    }
    for (const waiting of this.#holds) {
      if (waiting.connection !== undefined || !waiting.matches(message)) continue;
      waiting.connection = connection;
      waiting.reached.resolve(message);
      return true;
    }
    return false;
  }
}

interface ConnectionOwner {
  readonly delayMs: () => number;
  readonly isHeld: (message: WireMessage) => boolean;
  readonly closed: () => void;
  readonly passed: (lateMs: number) => void;
}

class Connection {
  /** What a Postgres client said first: tells replication from SQL. */
  startup = "";
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #pipes: readonly [Pipe, Pipe];

  constructor(client: Socket, server: Socket, wire: Wire, owner: ConnectionOwner) {
    this.#client = client;
    this.#server = server;
    client.setNoDelay(true);
    server.setNoDelay(true);
    const requests = (chunk: Buffer): WireMessage[] => {
      const messages = wire.requests(chunk);
      if (messages[0]?.name === "Startup") this.startup = messages[0].text;
      return messages;
    };
    this.#pipes = [
      new Pipe(client, server, requests, owner),
      new Pipe(server, client, (chunk) => wire.answers(chunk), owner),
    ];
    client.once("close", () => {
      if (!this.#forgotten) owner.closed();
    });
  }

  #forgotten = false;

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  stall(on: boolean): void {
    for (const pipe of this.#pipes) pipe.stall(on);
  }

  forget(): void {
    this.#forgotten = true;
    for (const pipe of this.#pipes) pipe.forget();
  }

  release(): void {
    for (const pipe of this.#pipes) pipe.release();
  }

  drop(): void {
    for (const pipe of this.#pipes) pipe.forget();
    this.destroy();
  }
}

/** One direction. Order is kept, also when the delay changes. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #owner: ConnectionOwner;
  #queue: { readonly bytes: Buffer; readonly dueMs: number; readonly lateMs: number }[] = [];
  #kept: WireMessage[] | undefined;
  #stalled = false;
  #forgotten = false;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(from: Socket, to: Socket, split: (chunk: Buffer) => WireMessage[], owner: ConnectionOwner) {
    this.#from = from;
    this.#to = to;
    this.#owner = owner;
    from.on("data", (chunk) => {
      for (const message of split(chunk)) this.#take(message);
    });
    from.on("end", () => {
      if (!this.#forgotten && !this.#stalled && this.#kept === undefined) to.end();
    });
    from.on("error", () => {
      if (!this.#forgotten) to.destroy();
    });
    from.on("close", () => {
      // What is held of a client that was killed may still be released: a message that was long on its way.
      if (!this.#forgotten && !this.#stalled && this.#kept === undefined) to.destroy();
    });
  }

  stall(on: boolean): void {
    if (this.#forgotten) return;
    this.#stalled = on;
    if (on) this.#from.pause();
    else {
      this.#from.resume();
      // Its other end may have gone away while nothing was passed on.
      if (this.#from.destroyed) this.#to.destroy();
      this.#flush();
    }
  }

  forget(): void {
    this.#forgotten = true;
    this.#from.pause();
    this.#queue = [];
  }

  release(): void {
    const kept = this.#kept ?? [];
    this.#kept = undefined;
    for (const { bytes } of kept) this.#enqueue(bytes);
    if (this.#from.destroyed && kept.length > 0) this.#to.end();
  }

  #take(message: WireMessage): void {
    if (this.#kept !== undefined) this.#kept.push(message);
    else if (this.#owner.isHeld(message)) this.#kept = [message];
    else this.#enqueue(message.bytes);
  }

  #enqueue(bytes: Buffer): void {
    const lateMs = this.#owner.delayMs();
    this.#queue.push({ bytes, dueMs: performance.now() + lateMs, lateMs });
    this.#flush();
  }

  #waitForDrain(): void {
    this.#from.pause();
    if (this.#draining) return;
    this.#draining = true;
    this.#to.once("drain", () => {
      this.#draining = false;
      if (!this.#stalled && !this.#forgotten) this.#from.resume();
    });
  }

  #flush(): void {
    if (this.#stalled || this.#forgotten || this.#timer !== undefined) return;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#flush();
        }, waitMs);
        return;
      }
      this.#queue.shift();
      if (this.#to.destroyed) continue;
      this.#owner.passed(next.lateMs);
      if (!this.#to.write(next.bytes)) this.#waitForDrain();
    }
  }
}
