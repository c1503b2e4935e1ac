import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { availableParallelism, loadavg, platform, totalmem } from "node:os";
import { promisify } from "node:util";
import type { PeerFiles } from "../peers/downloads.ts";

/** On what it was measured. Nothing in it names the machine. */
export interface Environment {
  /** Day of the run, ISO 8601. */
  readonly date: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly system: string;
  /** Load average of one minute before the first run: near zero, or the figures mean nothing. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Directories of jars, whose names tell versions. */
export interface JarDirectories {
  readonly kafka: string;
  readonly peers: PeerFiles;
}

/** Collects what there is to know about the machine and the versions. */
export async function environmentOf(
  jars: JarDirectories,
  java: string,
  postgresVersion: string,
): Promise<Environment> {
  const packageJson = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(await readFile(packageJson, "utf8")) as { version: string };
  const { stderr } = await promisify(execFile)(java, ["-version"]);
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    system: platform(),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
    versions: {
      "rejot-kafka": version,
      Node: process.versions.node,
      Postgres: postgresVersion,
      "Apache Kafka": jarVersion(await readdir(jars.kafka), "kafka_2.13"),
      "Kafka Connect": jarVersion(await readdir(jars.peers.libs), "connect-runtime"),
      "Debezium Postgres source": await pluginVersion(
        jars.peers.plugins.source,
        "debezium-connector-postgres",
      ),
      "Debezium JDBC sink": await pluginVersion(jars.peers.plugins.sink, "debezium-connector-jdbc"),
      "Apicurio converter": jarVersion(await readdir(jars.peers.libs), "apicurio-registry-utils-converter"),
      Java: /version "([^"]+)"/.exec(stderr)?.[1] ?? "unknown",
    },
  };
}

async function pluginVersion(plugins: string, name: string): Promise<string> {
  return jarVersion(await readdir(`${plugins}/${name}`), name);
}

/** The version in a jar's name: `kafka_2.13-4.1.1.jar` is 4.1.1. */
function jarVersion(files: readonly string[], name: string): string {
  const jar = files.find((file) => file.startsWith(`${name}-`) && file.endsWith(".jar"));
  return jar === undefined ? "unknown" : jar.slice(name.length + 1, -".jar".length);
}
