import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ServerProcess } from "../../compose/dev-stack/server-process.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import type { Ground, Participant, RunningParticipant } from "./participant.ts";
import { sinkManifest, sourceManifest, topicOfRun } from "./rejot-manifests.ts";

const MAIN = {
  source: fileURLToPath(new URL("../../source-connector/main.ts", import.meta.url)),
  sink: fileURLToPath(new URL("../../sink-connector/main.ts", import.meta.url)),
};

/** Our connectors, each as the npm scripts start it; `nodeArgs` come first, for a profiler. */
export function rejot(ground: Ground, nodeArgs: readonly string[] = []): Participant {
  const start = async (
    kind: "source" | "sink",
    run: string,
    manifest: Manifest,
  ): Promise<RunningParticipant> => {
    const path = join(ground.directory, `${run}.json`);
    await writeFile(path, JSON.stringify(manifest, null, 2));
    const server = new ServerProcess({
      name: `our ${kind} connector`,
      command: process.execPath,
      args: ["--disable-warning=TimeoutNegativeWarning", ...nodeArgs, MAIN[kind], path, "--api-port", "0"],
      cwd: ground.directory,
      logFile: join(ground.directory, `${run}.log`),
      // The measurement itself waits for events.
      isReady: async () => true,
    });
    const startedAtMs = performance.now();
    await server.start();
    return {
      pid: server.pid ?? 0,
      startedAtMs,
      failure: async () =>
        server.running ? undefined : (await server.failure("it ended by itself")).message,
      stop: () => server.stop(),
    };
  };
  return {
    name: "rejot-kafka",
    topicOf: topicOfRun,
    startSource: (task) => start("source", task.run, sourceManifest(ground.stack, task)),
    startSink: (task) => start("sink", task.run, sinkManifest(ground.stack, task)),
  };
}
