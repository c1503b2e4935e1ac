import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { freePort } from "../../../compose/dev-stack/ports.ts";
import { delay } from "../../../shared/lifecycle/backoff.ts";

/** What stands before the registry: it passes on, at once or later, is down, hangs, or answers by itself. */
export type RegistryMood =
  | "pass"
  | "down"
  | "hang"
  | { readonly delayMs: number }
  | { readonly status: number; readonly body: string };

/** A faulting registry in front of the real one. `await using` closes it. */
export class RegistryFront implements AsyncDisposable {
  readonly url: string;
  mood: RegistryMood = "pass";
  /** Requests that met something else than the real registry. */
  faulted = 0;
  readonly #server: Server;
  readonly #origin: string;

  private constructor(port: number, realUrl: string) {
    const real = new URL(realUrl);
    this.#origin = real.origin;
    this.url = `http://127.0.0.1:${port}${real.pathname}`;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(realUrl: string): Promise<RegistryFront> {
    const port = await freePort();
    const front = new RegistryFront(port, realUrl);
    await new Promise<void>((resolve, reject) => {
      front.#server.once("error", reject);
      front.#server.listen(port, "127.0.0.1", resolve);
    });
    return front;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { mood } = this;
    if (mood !== "pass") this.faulted++;
    if (mood === "down") request.socket.resetAndDestroy();
    else if (mood === "hang") request.resume();
    else if (mood === "pass") await this.#pass(request, response);
    else if ("delayMs" in mood) {
      await delay(mood.delayMs);
      await this.#pass(request, response);
    } else response.writeHead(mood.status, { "content-type": "text/html" }).end(mood.body);
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answer = await fetch(`${this.#origin}${request.url}`, {
      method: request.method ?? "GET",
      headers: { "content-type": request.headers["content-type"] ?? "application/json" },
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    });
    const body = Buffer.from(await answer.arrayBuffer());
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" }).end(body);
  }
}
