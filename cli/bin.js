#!/usr/bin/env node
// Plain JavaScript that runs on any Node from 20 on, and goes on with one that can do the rest.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import module, { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

const here = dirname(fileURLToPath(import.meta.url));
const compiled = join(here, "..", "dist", "cli", "main.js");
const sources = join(here, "main.ts");
const main = here.includes(`${join("/", "node_modules", "/")}`) || !existsSync(sources) ? compiled : sources;

/** Long enough for a signal of the terminal to reach both processes. */
const SIGNAL_GRACE_MS = 200;

/**
 * V8's compilers work on other threads. A process that ends while such a thread waits for the garbage collector never
 * ends: each waits for the other (nodejs/node#54918), which on a busy machine, as in CI, happens now and then. What is
 * over within a second needs no compiler; `sync` goes on for months.
 */
const isShort = !["sync", "manifest:sync"].some((command) => process.argv.includes(command));
const v8Flags = isShort ? ["--no-sparkplug", "--no-maglev", "--no-opt"] : [];

/** Type stripping without a flag, registerHooks: what schema files and the sources need. */
function isNewEnough([major = 0, minor = 0]) {
  return major > 22 || (major === 22 && minor >= 18);
}

function versionOf(node) {
  const result = spawnSync(node, ["-p", "process.versions.node"], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim().split(".").map(Number) : [];
}

/** A newer Node beside us (npm package `node`), or one that npx fetches once into its cache. */
function findNode() {
  try {
    const packageFile = createRequire(import.meta.url).resolve("node/package.json");
    const node = join(dirname(packageFile), "bin", "node");
    const { version } = JSON.parse(readFileSync(packageFile, "utf8"));
    if (isNewEnough(version.split(".").map(Number)) && existsSync(node)) return node;
  } catch {
    // Not installed: npx has to help, or has helped before.
  }
  const known = remembered();
  if (known !== undefined) return known;
  console.error(
    `rejot-kafka needs Node 22.18 or newer, this is ${process.versions.node}: asking npx for Node 24`,
  );
  const args = ["--yes", "--package=node@24", "--", "node", "-p", "process.execPath"];
  const result = spawnSync("npx", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const node = result.stdout?.trim().split("\n").at(-1) ?? "";
  if (result.status !== 0 || !isNewEnough(versionOf(node))) return undefined;
  remember(node);
  return node;
}

/** Asking npx takes seconds, which nobody wants to wait for every command and every completion. */
const memory = join(homedir(), ".cache", "rejot-kafka", "node");

function remembered() {
  try {
    const node = readFileSync(memory, "utf8");
    return existsSync(node) && isNewEnough(versionOf(node)) ? node : undefined;
  } catch {
    return undefined;
  }
}

function remember(node) {
  try {
    mkdirSync(dirname(memory), { recursive: true });
    writeFileSync(memory, node);
  } catch {
    // Then npx is asked again.
  }
}

if (isNewEnough(process.versions.node.split(".").map(Number))) {
  for (const flag of v8Flags) setFlagsFromString(flag);
  // Half of what a short command takes is reading its own code.
  module.enableCompileCache?.();
  await import(main);
} else {
  const node = findNode();
  if (node === undefined) {
    console.error("NODE_TOO_OLD: no newer Node could be found or fetched");
    console.error("  hint: Install Node 24, or `npm install node@24` beside rejot-kafka.");
    process.exit(1);
  }
  const child = spawn(node, [...v8Flags, main, ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  // A terminal signals the whole process group, a supervisor only us. The child is told of every signal, a moment
  // later, and takes no notice of those it has had itself: a second one would end it without draining.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => setTimeout(() => child.connected && child.send(signal), SIGNAL_GRACE_MS));
  }
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
