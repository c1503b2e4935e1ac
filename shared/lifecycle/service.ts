import { describeError, RejotError } from "../errors/error.ts";
import { ERRORS } from "../errors/table.ts";
import { createLogger } from "../observability/logger.ts";

/** A part of a process that runs until it is stopped: a connector, an HTTP server. */
export interface Service {
  readonly name: string;
  /**
   * Resolves when the service runs. The signal is aborted when the process no longer waits for the service:
   * by the first signal while it is still starting; later by the second signal or the deadline.
   */
  start(signal: AbortSignal): Promise<void>;
  /** Settles when the service ended by itself; rejects with the error that ended it. */
  readonly done: Promise<void>;
  /** Ends the service in good order: what was accepted is finished. Called once, also after a failed start. */
  stop(): Promise<void>;
}

/** What `runUntilSignal` needs to know; the rest is for tests. */
export interface RunOptions {
  /** How long stopping may take, in milliseconds, before the process gives up on it. */
  deadlineMs: number;
  /** Source of signals and of uncaught errors. Default: the process. */
  events?: Pick<NodeJS.EventEmitter, "on" | "off">;
  /** Where errors are told, for a person to read. Default: stderr. */
  print?: (text: string) => void;
}

const logger = createLogger("lifecycle");

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
/** As a shell reports a process ended by SIGINT. */
const FORCED_EXIT_CODE = 130;

/**
 * Starts the services in order, waits for a signal or for one of them to end, and stops all in reverse order.
 * The first SIGINT or SIGTERM drains; the second, an uncaught error or the deadline gives up at once.
 * Resolves with the exit code, which the caller passes to `process.exit`: after a forced end, sockets may
 * still be open. 0 after a clean stop, the code of the error table after an error. Never rejects.
 */
export function runUntilSignal(services: readonly Service[], options: RunOptions): Promise<number> {
  return new Run(services, options).run();
}

interface Running {
  readonly service: Service;
  readonly giveUp: AbortController;
}

class Run {
  readonly #services: readonly Service[];
  readonly #deadlineMs: number;
  readonly #events: Pick<NodeJS.EventEmitter, "on" | "off">;
  readonly #print: (text: string) => void;
  readonly #running: Running[] = [];
  readonly #stopRequested = Promise.withResolvers<void>();
  readonly #forced = Promise.withResolvers<number>();
  #starting: AbortController | undefined;
  #signals = 0;
  #exitCode = 0;

  constructor(services: readonly Service[], options: RunOptions) {
    this.#services = services;
    this.#deadlineMs = options.deadlineMs;
    this.#events = options.events ?? process;
    this.#print = options.print ?? ((text) => process.stderr.write(`${text}\n`));
  }

  async run(): Promise<number> {
    for (const signal of SIGNALS) this.#events.on(signal, this.#onSignal);
    this.#events.on("uncaughtException", this.#onUncaught);
    this.#events.on("unhandledRejection", this.#onUncaught);
    try {
      return await Promise.race([this.#forced.promise, this.#startRunStop()]);
    } finally {
      for (const signal of SIGNALS) this.#events.off(signal, this.#onSignal);
      this.#events.off("uncaughtException", this.#onUncaught);
      this.#events.off("unhandledRejection", this.#onUncaught);
    }
  }

  async #startRunStop(): Promise<number> {
    try {
      for (const service of this.#services) {
        if (this.#signals > 0) break;
        await this.#start(service);
      }
      if (this.#signals === 0) {
        await Promise.race([this.#stopRequested.promise, ...this.#services.map((service) => service.done)]);
      }
    } catch (error) {
      // A start that a signal broke off is not an error.
      if (this.#signals === 0) this.#report(error);
    }
    await this.#stopAll();
    return this.#exitCode;
  }

  async #start(service: Service): Promise<void> {
    const giveUp = new AbortController();
    this.#running.push({ service, giveUp });
    // Whoever ends first decides; the others' rejections must not count as unhandled.
    service.done.catch(() => {});
    this.#starting = giveUp;
    try {
      await service.start(giveUp.signal);
    } finally {
      this.#starting = undefined;
    }
  }

  async #stopAll(): Promise<void> {
    const deadline = setTimeout(() => {
      this.#print(describeError(new RejotError("STOP_DEADLINE", { detail: `after ${this.#deadlineMs} ms` })));
      this.#force(1);
    }, this.#deadlineMs);
    for (const { service } of this.#running.toReversed()) {
      await service.stop().catch((error: unknown) => this.#report(error));
    }
    clearTimeout(deadline);
  }

  readonly #onSignal = (): void => {
    this.#signals++;
    if (this.#signals > 1) {
      this.#force(FORCED_EXIT_CODE);
      return;
    }
    this.#starting?.abort(new DOMException("stopped by a signal", "AbortError"));
    this.#stopRequested.resolve();
  };

  readonly #onUncaught = (error: unknown): void => {
    this.#report(error);
    this.#force(1);
  };

  #force(exitCode: number): void {
    for (const { giveUp } of this.#running) giveUp.abort(new DOMException("forced to stop", "AbortError"));
    this.#forced.resolve(exitCode);
  }

  #report(error: unknown): void {
    // What a person is shown has no stack trace; of a defect, that is what is needed.
    if (!(error instanceof RejotError)) logger.error({ err: error }, "an unexpected error");
    this.#print(describeError(error));
    if (this.#exitCode === 0) this.#exitCode = error instanceof RejotError ? ERRORS[error.code].exitCode : 1;
  }
}
