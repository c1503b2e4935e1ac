import type { Environment } from "../shared/manifest/secrets.ts";

/** What a command may use of its surroundings; tests give their own. */
export interface CliContext {
  readonly env: Environment;
  /** Results: stdout. */
  print(text: string): void;
  /** Everything said beside the result: stderr. */
  warn(text: string): void;
}

/** Thrown to end a command whose own output already said why. */
export class Exit extends Error {
  readonly exitCode: number;
  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}
