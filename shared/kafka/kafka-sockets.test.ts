import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { watchedSockets } from "./kafka-sockets.ts";

async function listen(onConnection: (socket: Socket) => void) {
  const server = createServer(onConnection).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return Object.assign(server, { port, [Symbol.dispose]: () => server.close() });
}

function open(port: number, silenceMs: number): Promise<Socket> {
  const opened = Promise.withResolvers<Socket>();
  const socket: Socket = watchedSockets(silenceMs)({
    host: "127.0.0.1",
    port,
    ssl: undefined as never,
    onConnect: () => opened.resolve(socket),
  });
  return opened.promise;
}

test("a connection that answers nothing fails", async () => {
  using server = await listen((socket) => socket.resume());
  const socket = await open(server.port, 50);
  const failed = once(socket, "error");
  socket.write("request");
  expect(String((await failed)[0])).toContain("no answer for 50 ms");
  expect(socket.destroyed).toBe(true);
});

test("a connection that answers lives, and so does one that was asked nothing", async () => {
  using server = await listen((socket) => socket.on("data", () => socket.write("answer")));
  const quiet = await open(server.port, 20);
  const busy = await open(server.port, 200);
  for (let i = 0; i < 6; i++) {
    const answer = once(busy, "data");
    busy.write("request");
    await answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect([quiet.destroyed, busy.destroyed]).toEqual([false, false]);
  quiet.destroy();
  busy.destroy();
});
