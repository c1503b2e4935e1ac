import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { stat, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { freePorts, requireFreePort } from "../../compose/dev-stack/ports.ts";
import { startPostgres } from "../../compose/dev-stack/postgres-server.ts";
import { makeStackDirectory, removeStackDirectory, startStack } from "../../compose/dev-stack/stack.ts";
import { runToEnd, writeFiles } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";
import { createTopics, kafkaAdmin } from "../support/kafka.ts";
import { waitFor } from "../support/wait-for.ts";

const MAIN = fileURLToPath(new URL("../../compose/dev-stack/main.ts", import.meta.url));

describe("npm run stack", () => {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    test(`leaves nothing behind after ${signal}`, async () => {
      const ports = (await freePorts(3)) as [number, number, number];
      const [postgres, , registry] = ports;
      const child = spawn(process.execPath, [MAIN, ...portFlags(ports)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
      const directory = await waitFor(() => /Logs +(\S+)/.exec(output)?.[1], {
        timeoutMs: 90_000,
        describe: "the addresses of the servers",
      });
      expect(output).toContain(`postgresql://postgres:postgres@127.0.0.1:${postgres}/postgres`);
      expect(output).toContain(`http://127.0.0.1:${registry}/apis/ccompat/v7`);
      child.kill(signal);
      const [code] = await once(child, "exit");
      if (signal === "SIGINT") expect(code).toBe(0);
      await waitFor(
        async () => {
          for (const port of ports) await requireFreePort(port, "the test");
          return stat(directory).then(
            () => false,
            () => true,
          );
        },
        { describe: `all ports to be free and ${directory} to be gone` },
      );
    });
  }

  test("says which port is taken, and by whom it was wanted", async () => {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as { port: number };
    // The default ports of the others may be taken, too.
    const flags = [...portFlags(await freePorts(3)), "--kafka-port", String(port)];
    const result = await runToEnd("compose/dev-stack/main.ts", flags);
    listener.close();
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(new RegExp(`^STACK_PORT_TAKEN: .*Kafka wants port ${port}`));
    expect(result.stderr).toContain("hint: ");
  });

  test("says that Java is missing", async () => {
    const env = { JAVA_HOME: join(tmpdir(), "no-java-here") };
    const result = await runToEnd("compose/dev-stack/main.ts", portFlags(await freePorts(3)), { env });
    expect(result).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^STACK_JAVA_MISSING: .*\n.*hint: /s),
    });
  });

  test("says that Maven is missing when there is something to download", async () => {
    await using cache = await writeFiles({});
    await using programs = await writeFiles({});
    // A path on which there is Java and nothing else.
    const java = await promisify(execFile)("sh", ["-c", "command -v java"]);
    await symlink(java.stdout.trim(), programs.path("java"));
    const env = { PATH: programs.directory, XDG_CACHE_HOME: cache.directory, JAVA_HOME: "" };
    const result = await runToEnd("compose/dev-stack/main.ts", portFlags(await freePorts(3)), { env });
    expect(result.stderr).toContain("STACK_MAVEN_MISSING: ");
    expect(result.exitCode).toBe(1);
  });
});

describe("servers under faults", () => {
  test("each one, killed and started again, has its port and its data", async () => {
    await using stack = await startStack({ env: process.env });
    const { postgres, kafka, registry } = stack;
    await using database = await createDatabase({
      server: postgres,
      sql: "CREATE TABLE t (id int PRIMARY KEY)",
    });
    await database.query("INSERT INTO t VALUES (1)");
    {
      await using admin = await kafkaAdmin(kafka.brokers);
      await createTopics(admin, [{ topic: "kept" }]);
    }
    const { id } = (await registerSchema(registry.url)) as { id: number };
    const servers = [postgres, kafka, registry];
    const before = servers.map((server) => server.pid);
    await Promise.all(
      servers.map(async (server) => {
        await server.kill();
        expect(server.running).toBe(false);
        await server.start();
      }),
    );
    expect(servers.every((server, i) => server.running && server.pid !== before[i])).toBe(true);
    expect(await waitFor(() => database.query("SELECT id FROM t"), { describe: "a session" })).toEqual([
      { id: "1" },
    ]);
    await using admin = await kafkaAdmin(kafka.brokers);
    expect(await admin.listTopics()).toContain("kept");
    expect(await (await fetch(`${registry.url}/schemas/ids/${id}`)).json()).toMatchObject({
      schema: '"string"',
    });
    expect(await registerSchema(registry.url)).toMatchObject({ id });
  });

  test("another Postgres with settings of its own", async () => {
    const directory = await makeStackDirectory(tmpdir());
    const [port] = (await freePorts(1)) as [number];
    const server = await startPostgres({ directory, port, settings: { wal_level: "replica" } });
    try {
      await using database = await createDatabase({ server });
      expect(await database.query("SHOW wal_level")).toEqual([{ wal_level: "replica" }]);
    } finally {
      await server.stop();
      await removeStackDirectory(directory);
    }
  });

  test("a server that does not start says why, and where its log is", async () => {
    const directory = await makeStackDirectory(tmpdir());
    const [port] = (await freePorts(1)) as [number];
    const error = await startPostgres({ directory, port, settings: { wal_level: "nonsense" } }).catch(
      (reason: unknown) => reason,
    );
    await removeStackDirectory(directory);
    expect(error).toMatchObject({
      code: "STACK_SERVER_FAILED",
      message: expect.stringContaining("nonsense"),
    });
    expect((error as { context: { log: string } }).context.log).toMatch(/postgres\.log$/);
  });
});

async function registerSchema(url: string): Promise<unknown> {
  const response = await fetch(`${url}/subjects/kept-value/versions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ schema: '"string"' }),
  });
  return response.json();
}

function portFlags([postgres, kafka, registry]: readonly number[]): string[] {
  return [`--postgres-port=${postgres}`, `--kafka-port=${kafka}`, `--registry-port=${registry}`];
}
