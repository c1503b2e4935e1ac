import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ISocketFactory } from "kafkajs";

/** As kafkajs' own sockets have it. */
const KEEP_ALIVE_MS = 60_000;

/**
 * Sockets that fail when something was sent and nothing has come back for `silenceMs`: a firewall or a dead machine
 * drops a connection without a word. kafkajs gives up on a request after its timeout, but repeats it on the same
 * connection, a dozen times; all of the broker's answers come within `silenceMs`, so it is the connection that is dead.
 */
export function watchedSockets(silenceMs: number): ISocketFactory {
  return ({ host, port, ssl, onConnect }) => {
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = ssl
      ? connectTls({ host, port, ...name, ...ssl }, onConnect)
      : connect(port, host, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    endOnSilence(socket, silenceMs);
    return socket;
  };
}

function endOnSilence(socket: Socket, silenceMs: number): void {
  let waiting: NodeJS.Timeout | undefined;
  const answered = (): void => {
    clearTimeout(waiting);
    waiting = undefined;
  };
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = ((...args: unknown[]) => {
    waiting ??= setTimeout(
      () => socket.destroy(new Error(`no answer for ${silenceMs} ms`)),
      silenceMs,
    ).unref();
    return write(...args);
  }) as Socket["write"];
  socket.on("data", answered);
  socket.once("close", answered);
}
