import { readFileSync } from "node:fs";
import { RejotError } from "../errors/error.ts";

/** Environment variables by name; only a `main.ts` reads them from the process. */
export type Environment = Record<string, string | undefined>;

const REFERENCE = /\$\{(file:[^}]+|[A-Za-z_][A-Za-z0-9_]*)\}/g;

/** Whether a text refers to a secret, `${ENV_VAR}` or `${file:/run/secrets/x}`. */
export function hasSecretReference(text: string): boolean {
  return text.search(REFERENCE) >= 0;
}

/** The name inside, when the whole text is one reference to an environment variable or file. */
export function soleReference(text: string): string | undefined {
  return new RegExp(`^${REFERENCE.source}$`).exec(text)?.[1];
}

/**
 * A copy of the value in which every string has its references replaced: `${ENV_VAR}` by the variable,
 * `${file:path}` by the file's content without its last line break. Nothing is written back.
 * Throws SECRET_NOT_FOUND, naming variable or file but never a value.
 */
export function resolveSecrets<T>(value: T, env: Environment): T {
  if (typeof value === "string") return resolveText(value, env) as T;
  if (Array.isArray(value)) return value.map((item) => resolveSecrets(item, env)) as T;
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, resolveSecrets(item, env)]),
  ) as T;
}

function resolveText(text: string, env: Environment): string {
  return text.replace(REFERENCE, (_, name: string) =>
    name.startsWith("file:") ? readSecretFile(name.slice("file:".length)) : readVariable(name, env),
  );
}

function readVariable(name: string, env: Environment): string {
  const value = env[name];
  if (value === undefined) {
    throw new RejotError("SECRET_NOT_FOUND", { detail: `the environment variable ${name} is not set` });
  }
  return value;
}

function readSecretFile(path: string): string {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (cause) {
    throw new RejotError("SECRET_NOT_FOUND", { detail: `the file ${path} cannot be read`, cause });
  }
}
