import type { z } from "zod";

type Issue = z.core.$ZodIssue;

/** One line for each thing that is wrong: the path to it, what is wrong, and for unknown keys their names. */
export function describeZodIssues(error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => describeIssue(issue, []));
}

/** A path as one would write it in code: `connections[0].config.host`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    text += typeof part === "number" ? `[${part}]` : text === "" ? String(part) : `.${String(part)}`;
  }
  return text === "" ? "(top level)" : text;
}

function describeIssue(issue: Issue, prefix: readonly PropertyKey[]): string[] {
  const path = [...prefix, ...issue.path];
  const where = formatPath(path);
  if (issue.code === "unrecognized_keys") {
    return [
      `${where}: unknown key${issue.keys.length > 1 ? "s" : ""} ${issue.keys.map((k) => `"${k}"`).join(", ")}`,
    ];
  }
  if (issue.code === "invalid_union") {
    const nested = issue.errors.toSorted((a, b) => a.length - b.length)[0];
    if (nested !== undefined && nested.length > 0)
      return nested.flatMap((inner) => describeIssue(inner, path));
    return [`${where}: none of the forms it may have${discriminator(issue)}`];
  }
  const missing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
  return [`${where}: ${missing ? `is missing (${issue.expected} expected)` : issue.message}`];
}

function discriminator(issue: Issue): string {
  const options = (issue as { options?: unknown[] }).options;
  return Array.isArray(options) ? `: ${options.map((o) => JSON.stringify(o)).join(", ")}` : "";
}
