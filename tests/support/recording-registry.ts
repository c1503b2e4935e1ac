import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A registry behind another address that remembers what it was asked. */
export interface RecordingRegistry extends AsyncDisposable {
  readonly url: string;
  /** `GET /subjects/x-key/versions`, in the order of their arrival. */
  readonly requests: string[];
}

/** Passes every request on to a registry. */
export async function startRecordingRegistry(target: string): Promise<RecordingRegistry> {
  const requests: string[] = [];
  const base = new URL(target).pathname;
  const server = createServer(async (request, response) => {
    const path = request.url ?? "";
    requests.push(`${request.method} ${path.slice(base.length)}`);
    const body = await buffer(request);
    const answer = await fetch(new URL(path, target), {
      method: request.method ?? "GET",
      headers: { "content-type": String(request.headers["content-type"]) },
      ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    });
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${base}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
