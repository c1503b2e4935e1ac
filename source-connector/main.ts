import { runConnectorProgram } from "../shared/process/run-connectors.ts";
import { SOURCE_PREFIX, sourceSettings } from "./config.ts";
import { createSource } from "./connector.ts";

process.exit(
  await runConnectorProgram(
    {
      command: "npm run source --",
      summary: "Publishes what the manifests' public schemas make of the write-ahead log.",
      role: "source",
      prefix: SOURCE_PREFIX,
      settings: sourceSettings,
      create: (workspace, config) => createSource({ workspace, config }),
    },
    { args: process.argv.slice(2), env: process.env },
  ),
);
