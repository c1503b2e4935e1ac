import { runConnectorProgram } from "../shared/process/run-connectors.ts";
import { SINK_PREFIX, sinkSettings } from "./config.ts";
import { createSink } from "./connector.ts";

process.exit(
  await runConnectorProgram(
    {
      command: "npm run sink --",
      summary: "Applies the events that the manifests' consumer schemas read to their destinations.",
      role: "sink",
      prefix: SINK_PREFIX,
      settings: sinkSettings,
      create: (workspace, config) => createSink({ workspace, config }),
    },
    { args: process.argv.slice(2), env: process.env },
  ),
);
