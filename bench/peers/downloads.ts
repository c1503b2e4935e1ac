import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Download, fetchDownload, type OnProgress } from "../../compose/dev-stack/downloads.ts";

const PEERS: Download = {
  slug: "bench-peers",
  title: "Kafka Connect, Debezium's Postgres source and JDBC sink, an Avro converter (150 MB)",
  pom: fileURLToPath(new URL("pom.xml", import.meta.url)),
  goals: ["dependency:copy-dependencies", "-DincludeScope=runtime", "dependency:unpack"],
};

/** Where the peers' files are. */
export interface PeerFiles {
  /** Jars of the Kafka Connect worker and of the Avro converter. */
  readonly libs: string;
  /** The plugin path of a worker that runs a source, and of one that runs a sink: each loads only what it needs. */
  readonly plugins: { readonly source: string; readonly sink: string };
}

/** Makes sure that the peers' files are there. Throws errors whose code begins with STACK_. */
export async function fetchPeers(cacheDir: string, onProgress: OnProgress): Promise<PeerFiles> {
  const libs = await fetchDownload(PEERS, cacheDir, onProgress);
  return { libs, plugins: { source: join(libs, "plugins/source"), sink: join(libs, "plugins/sink") } };
}
