import { Argument, type Command } from "commander";
import { completionScript, SHELLS, type Shell } from "../completion/scripts.ts";
import type { CliContext } from "../context.ts";
import { withExamples } from "../help.ts";

/** `completion`: a script that teaches a shell the commands, options and slugs. */
export function addCompletion(parent: Command, context: CliContext): void {
  const command = parent
    .command("completion")
    .description("print a script by which a shell completes commands, options and slugs of the manifest")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .action((shell: Shell) => context.print(completionScript(shell).trimEnd()));
  withExamples(
    command,
    "completion bash > ~/.local/share/bash-completion/completions/rejot-kafka",
    "completion zsh > ~/.zsh/completions/_rejot-kafka",
    "completion fish > ~/.config/fish/completions/rejot-kafka.fish",
  );
}
