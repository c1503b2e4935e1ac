import type { Command } from "commander";

/** Adds examples to a command's help; each is a command line without the program's name. */
export function withExamples(command: Command, ...examples: readonly [string, ...string[]]): Command {
  const lines = examples.map((example) => `  ${PROGRAM} ${example}`);
  return command.addHelpText("after", `\n${HEADING}\n${lines.join("\n")}`);
}

/** The name that commands are called by. */
export const PROGRAM = "rejot-kafka";

const HEADING = "Examples:";

/** The command lines that a help text shows as examples, without the program's name. Lines that go on are joined. */
export function examplesIn(help: string): string[] {
  const [, shown = ""] = help.split(`\n${HEADING}\n`);
  return shown
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith(`${PROGRAM} `))
    .map((line) => line.slice(PROGRAM.length + 1));
}
