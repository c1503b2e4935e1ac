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

const exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  print: (text) => process.stdout.write(`${text}\n`),
  warn: (text) => process.stderr.write(`${text}\n`),
});
// A collected file may have opened a connection; it must not keep the command from ending.
process.stdout.write("", () => process.exit(exitCode));
