import { constants } from "node:os";

/** A signal of the operating system as an AbortSignal; disposing of it stops listening. */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * For a command that has to clean up: the first SIGINT or SIGTERM aborts, with a reason that is made of the exit code
 * that a shell reports; the second ends the process at once.
 */
export function abortOnInterrupt(reasonOf: (exitCode: number) => unknown): Interrupt {
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    stop();
    controller.abort(reasonOf(128 + constants.signals[signal]));
  };
  const stop = (): void => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, onSignal);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, onSignal);
  return { signal: controller.signal, [Symbol.dispose]: stop };
}
