/**
 * Runs beside a process that owns servers, and outlives it: when the pipe from the owner closes, however the
 * owner ended, what it left is removed. One JSON object a line: `{"watch": pid, "signal"}`, `{"forget": pid}`,
 * `{"directory": path}`, `{"forgetDirectory": path}`.
 */
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

interface Message {
  watch?: number;
  signal?: NodeJS.Signals;
  forget?: number;
  directory?: string;
  forgetDirectory?: string;
}

const signals = new Map<number, NodeJS.Signals>();
const directories = new Set<string>();

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line) as Message;
  if (message.watch !== undefined) signals.set(message.watch, message.signal ?? "SIGKILL");
  if (message.forget !== undefined) signals.delete(message.forget);
  if (message.directory !== undefined) directories.add(message.directory);
  if (message.forgetDirectory !== undefined) directories.delete(message.forgetDirectory);
}

for (const [pid, signal] of signals) signalGroup(pid, signal);
for (let waitedMs = 0; waitedMs < 3000 && alive() > 0; waitedMs += 50) await delay(50);
for (const pid of signals.keys()) signalGroup(pid, "SIGKILL");
for (const directory of directories)
  await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });

function alive(): number {
  return [...signals.keys()].filter((pid) => signalGroup(pid, 0)).length;
}

/** Signals the group that the server leads; false when nobody is left in it. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
