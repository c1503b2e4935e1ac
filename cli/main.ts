import { constants } from "node:os";
import { runCli } from "./program.ts";

// Nothing a user must act on: files whose package.json has no "type", type stripping, kafkajs' empty queue.
const SILENT = new Set(["MODULE_TYPELESS_PACKAGE_JSON", "ExperimentalWarning", "TimeoutNegativeWarning"]);
process.removeAllListeners("warning");
process.on("warning", (warning) => {
  const code = "code" in warning ? String(warning.code) : "";
  if (!SILENT.has(code) && !SILENT.has(warning.name)) console.error(`warning: ${warning.message}`);
});
// A reader that closes the pipe early (head) has what it wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

// Started by bin.js under another Node: it tells of its signals, and some of them have reached us already.
if (process.send !== undefined) {
  const lastSeenMs = new Map<NodeJS.Signals, number>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      lastSeenMs.set(signal, Date.now());
      if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal]);
    });
  }
  process.on("message", (signal: NodeJS.Signals) => {
    if (Date.now() - (lastSeenMs.get(signal) ?? 0) > 1_000) process.emit(signal, signal);
  });
  process.on("disconnect", () => process.emit("SIGTERM", "SIGTERM"));
  process.channel?.unref();
}

const exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  print: (text) => process.stdout.write(`${text}\n`),
  warn: (text) => process.stderr.write(`${text}\n`),
});
// A collected file may have opened a connection; it must not keep the command from ending.
process.stdout.write("", () => process.exit(exitCode));
