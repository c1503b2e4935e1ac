import { ERRORS, type ErrorEntry } from "./table.ts";

function triedAgain({ retryable, retriedOnceWorked }: ErrorEntry): string {
  if (retriedOnceWorked === true) return "for two minutes, if it has worked before in this process";
  return retryable ? "yes" : "no";
}

/** docs/errors.md: the error table as a page. */
export function errorsPage(): string {
  const sections = Object.entries<ErrorEntry>(ERRORS)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([code, entry]) => `## ${code}

${entry.title}.

- **Cause:** ${entry.cause}
- **What to do:** ${entry.hint}
- **Tried again by itself:** ${triedAgain(entry)}. **Exit code:** ${entry.exitCode}
`,
    );
  return `# Errors

Every error that rejot-kafka can tell has one of these codes. The page is made from \`shared/errors/table.ts\`
(\`npm run docs\`).

Exit codes: 0 fine, 1 a check failed or the work cannot go on, 2 the command was used wrongly, 3 a server could not
be reached.

${sections.join("\n")}`;
}
