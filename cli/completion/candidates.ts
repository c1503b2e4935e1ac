import type { Argument, Command, Option } from "commander";

/** One way a word may go on. */
export interface Candidate {
  readonly value: string;
  readonly description: string;
}

/** What may stand at the cursor. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Whether the shell's own completion of file names belongs there. */
  readonly files: boolean;
}

/**
 * The values of an option or argument that only the surroundings know, by the name it has in the help text
 * (`<connection>`). Undefined where nothing is known of such a name.
 */
export type ValuesOf = (placeholder: string, line: CommandLine) => Promise<Completion | undefined>;

/** A command line up to the cursor. */
export interface CommandLine {
  readonly command: Command;
  /** Words that are neither commands nor options. */
  readonly operands: readonly string[];
  /** Values of the options given so far, by long name: "--manifest". */
  readonly options: ReadonlyMap<string, string>;
  /** The option whose value stands at the cursor. */
  readonly pending: Option | undefined;
  /** Whether a lone `--` was seen: nothing after it is an option. */
  readonly onlyOperands: boolean;
}

/**
 * What may stand in place of the last word. `words` are those after the program's name; the last is the one at the
 * cursor, "" when a new one begins. Everything comes from the commands themselves, so it cannot differ from them.
 */
export async function complete(
  program: Command,
  words: readonly string[],
  valuesOf: ValuesOf,
): Promise<Completion> {
  const line = readLine(program, words.slice(0, -1));
  const word = words.at(-1) ?? "";
  if (line.pending !== undefined) return startingWith(word, await optionValues(line.pending, line, valuesOf));
  if (!line.onlyOperands && /^--[^=]+=/.test(word)) return joinedValue(word, line, valuesOf);
  if (!line.onlyOperands && word.startsWith("-")) return startingWith(word, optionNames(line));
  return startingWith(word, await operands(line, valuesOf));
}

/** Reads the words before the cursor as commander would. */
export function readLine(program: Command, words: readonly string[]): CommandLine {
  let command = program;
  let pending: Option | undefined;
  let onlyOperands = false;
  const operandWords: string[] = [];
  const options = new Map<string, string>();
  for (const word of words) {
    if (pending !== undefined) {
      options.set(pending.long ?? "", word);
      pending = undefined;
    } else if (!onlyOperands && word === "--") onlyOperands = true;
    else if (!onlyOperands && word.startsWith("-") && word !== "-") {
      const [name = "", value] = splitOnce(word);
      const option = findOption(command, name);
      if (option?.required && value === undefined) pending = option;
      else options.set(option?.long ?? name, value ?? "");
    } else {
      const inner = operandWords.length > 0 ? undefined : findCommand(command, word);
      if (inner === undefined) operandWords.push(word);
      // What follows `help` are the names it stands among.
      else if (command.commands.includes(inner)) command = inner;
    }
  }
  return { command, operands: operandWords, options, pending, onlyOperands };
}

async function joinedValue(word: string, line: CommandLine, valuesOf: ValuesOf): Promise<Completion> {
  const [name = ""] = splitOnce(word);
  const option = findOption(line.command, name);
  if (option === undefined) return NOTHING;
  const { candidates, files } = await optionValues(option, line, valuesOf);
  const joined = candidates.map(({ value, description }) => ({ value: `${name}=${value}`, description }));
  return startingWith(word, { candidates: joined, files });
}

async function operands(line: CommandLine, valuesOf: ValuesOf): Promise<Completion> {
  const { command } = line;
  const inner = line.operands.length > 0 || line.onlyOperands ? [] : visibleCommands(command);
  const commands = inner.map((each) => ({
    value: each.name(),
    description: each.summary() || each.description(),
  }));
  const argument = argumentAt(command, line.operands.length);
  if (argument !== undefined) {
    const values = await valuesOfArgument(argument, line, valuesOf);
    return { candidates: [...commands, ...values.candidates], files: values.files };
  }
  // Where no word is expected, what can be said at all is shown.
  if (command.commands.length === 0 && !line.onlyOperands) return optionNames(line);
  return { candidates: commands, files: false };
}

function optionNames({ command, options }: CommandLine): Completion {
  const candidates = command
    .createHelp()
    .visibleOptions(command)
    .filter((option) => !options.has(option.long ?? "") || isRepeatable(option))
    .toSorted((a, b) => Number(b.mandatory) - Number(a.mandatory))
    .map((option) => ({ value: option.long ?? option.short ?? "", description: option.description }));
  return { candidates, files: false };
}

function isRepeatable(option: Option): boolean {
  return option.variadic || option.description.includes("repeatable");
}

async function optionValues(option: Option, line: CommandLine, valuesOf: ValuesOf): Promise<Completion> {
  if (option.argChoices !== undefined) return choices(option.argChoices);
  const placeholder = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1] ?? "";
  return (await valuesOf(placeholder, line)) ?? NOTHING;
}

async function valuesOfArgument(
  argument: Argument,
  line: CommandLine,
  valuesOf: ValuesOf,
): Promise<Completion> {
  if (argument.argChoices !== undefined) return choices(argument.argChoices);
  return (await valuesOf(argument.name(), line)) ?? NOTHING;
}

function argumentAt(command: Command, position: number): Argument | undefined {
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  return registeredArguments[position] ?? (last?.variadic ? last : undefined);
}

function visibleCommands(command: Command): Command[] {
  return command.createHelp().visibleCommands(command);
}

function findCommand(command: Command, name: string): Command | undefined {
  return visibleCommands(command).find((each) => each.name() === name || each.aliases().includes(name));
}

function findOption(command: Command, name: string): Option | undefined {
  return command.options.find((option) => option.long === name || option.short === name);
}

function splitOnce(word: string): [string, string | undefined] {
  const at = word.startsWith("--") ? word.indexOf("=") : -1;
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

const NOTHING: Completion = { candidates: [], files: false };

function choices(values: readonly string[]): Completion {
  return { candidates: values.map((value) => ({ value, description: "" })), files: false };
}

function startingWith(word: string, { candidates, files }: Completion): Completion {
  return { candidates: candidates.filter((each) => each.value.startsWith(word)), files };
}
