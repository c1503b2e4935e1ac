import { parseArgs } from "node:util";
import { z } from "zod";
import { RejotError } from "../errors/error.ts";

/** One setting: its form, its default, and the sentence that help and docs show. */
export interface Setting<T> {
  readonly schema: z.ZodType<T>;
  /** Undefined where the setting is optional. */
  readonly default: T;
  /** Unit, meaning and reason of the default. */
  readonly description: string;
}

/** Settings by name in camelCase: `maxRows` is the flag `--max-rows` and the variable `<PREFIX>_MAX_ROWS`. */
export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The values of settings. */
export type SettingValues<S extends Settings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** Where values come from; a flag outranks a variable, a variable the default. */
export interface SettingSources {
  /** Start of the environment variables' names, for example "REJOT_SOURCE". */
  readonly prefix: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly args: readonly string[];
}

/** Reads settings and what else stands on the command line. Throws USAGE or CONFIG_INVALID, naming the setting. */
export function readSettings<S extends Settings>(
  settings: S,
  { prefix, env, args }: SettingSources,
): { values: SettingValues<S>; positionals: string[]; help: boolean } {
  const options = Object.fromEntries(
    Object.keys(settings).map((name) => [flagName(name), { type: "string" as const }]),
  );
  const parsed = parse(args, { ...options, help: { type: "boolean", short: "h" } });
  const values = Object.entries(settings).map(([name, setting]) => {
    const flag = parsed.values[flagName(name)];
    const variable = variableName(prefix, name);
    const text = typeof flag === "string" ? flag : env[variable];
    if (text === undefined || text === "") return [name, setting.default];
    const result = setting.schema.safeParse(text);
    if (result.success) return [name, result.data];
    const where = typeof flag === "string" ? `--${flagName(name)}` : variable;
    const reasons = result.error.issues.map((issue) => issue.message).join("; ");
    throw new RejotError("CONFIG_INVALID", {
      detail: `${where}="${text}": ${reasons}`,
      hint: setting.description,
    });
  });
  return {
    values: Object.fromEntries(values) as SettingValues<S>,
    positionals: parsed.positionals,
    help: parsed.values.help === true,
  };
}

/** A line or two per setting: flag, variable, default, description. */
export function describeSettings(settings: Settings, prefix: string): string {
  return Object.entries(settings)
    .map(([name, setting]) => {
      const fallback = setting.default === undefined ? "" : ` (default ${String(setting.default)})`;
      return `  --${flagName(name)}, ${variableName(prefix, name)}${fallback}\n      ${setting.description}`;
    })
    .join("\n");
}

/** The settings as a table in Markdown. */
export function settingsTable(settings: Settings, prefix: string): string {
  const rows = Object.entries(settings).map(([name, setting]) => {
    const fallback = setting.default === undefined ? "" : `\`${String(setting.default)}\``;
    return `| \`--${flagName(name)}\` | \`${variableName(prefix, name)}\` | ${fallback} | ${setting.description} |`;
  });
  return ["| flag | variable | default | meaning |", "|---|---|---|---|", ...rows].join("\n");
}

/** Whole numbers from text, within bounds. */
export function integer(min: number, max: number): z.ZodType<number> {
  return z.coerce.number().int().min(min).max(max);
}

function parse(args: readonly string[], options: NonNullable<Parameters<typeof parseArgs>[0]>["options"]) {
  try {
    return parseArgs({ args: [...args], options: options ?? {}, allowPositionals: true });
  } catch (cause) {
    throw new RejotError("USAGE", { detail: (cause as Error).message, cause });
  }
}

function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function variableName(prefix: string, name: string): string {
  return `${prefix}_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
