import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { freePorts, LOOPBACK, requireFreePort } from "./ports.ts";

test("free ports are distinct, and below those that systems give to outgoing connections", async () => {
  const ports = await freePorts(20);
  expect(new Set(ports).size).toBe(20);
  expect(ports.every((port) => port >= 15_000 && port < 32_768)).toBe(true);
});

test("a port that a server listens on is refused, whatever address it listens on", async () => {
  for (const host of [LOOPBACK, "0.0.0.0"]) {
    const [port] = (await freePorts(1)) as [number];
    const server = createServer().listen(port, host);
    await once(server, "listening");
    await expect(requireFreePort(port, "Kafka")).rejects.toMatchObject({
      code: "STACK_PORT_TAKEN",
      message: expect.stringContaining(`Kafka wants port ${port}`),
      context: { port },
    });
    server.close();
    await once(server, "close");
    await requireFreePort(port, "Kafka");
  }
});
