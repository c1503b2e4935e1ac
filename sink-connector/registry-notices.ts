import { consumerName } from "../shared/contracts/consumers/consumer-usage.ts";
import { deprecationNotice, deprecationOf } from "../shared/contracts/deprecation.ts";
import { RejotError } from "../shared/errors/error.ts";
import { delay, retry } from "../shared/lifecycle/backoff.ts";
import type { Diagnostic } from "../shared/manifest/diagnostic.ts";
import type { ResolvedDestination } from "../shared/manifest/workspace.ts";
import { contractOf, type KnownConsumer, registerConsumers } from "../shared/registry/register-consumers.ts";
import type { SchemaRegistry } from "../shared/registry/schema-registry.ts";
import {
  checkAgainstRegistry,
  type DestinationPlan,
  type RegisteredContracts,
  registeredContracts,
} from "./destination-plan.ts";

/** What somebody should know although events are applied. */
export type Notice = Pick<Diagnostic, "code" | "message" | "hint">;

export interface NoticeOptions {
  readonly destination: ResolvedDestination;
  readonly plan: DestinationPlan;
  readonly registry: SchemaRegistry;
  /** Whether the registry is told what the consumer schemas use. */
  readonly register: boolean;
  readonly signal: AbortSignal;
  /** Told each time the list changes. */
  readonly onNotices: (notices: readonly Notice[]) => void;
}

/** A deprecation may come while the sink runs; a schema may be registered a moment after its topic is made. */
const LOOK_AGAIN_MS = 3_600_000;
const NOT_REGISTERED_YET_MS = 10_000;

/**
 * Looks up in the registry what concerns a destination's consumer schemas (deprecations, fields that are gone) and
 * tells it what they use; again every hour. Beside the stream: a registry that is slow, down or refuses holds up no
 * event. Resolves when the signal is aborted, never rejects.
 */
export async function watchRegistry(options: NoticeOptions): Promise<void> {
  const { signal, onNotices } = options;
  let found: Notice[] = [];
  const trouble = (error: unknown): void => onNotices([...found, notRegistered(error)]);
  const attempt = async (): Promise<boolean> => {
    const contracts = await registeredContracts(options.plan.topics, options.registry);
    found = noticesOf(options, contracts);
    if (options.register) await registerConsumers(options.registry, knownConsumers(options, contracts));
    onNotices(found);
    return contracts.size === options.plan.topics.length;
  };
  while (!signal.aborted) {
    let complete = true;
    try {
      complete = await retry(attempt, { signal, initialMs: 1_000, maxMs: 60_000, onRetry: trouble });
    } catch (error) {
      if (!signal.aborted) trouble(error);
    }
    await delay(complete ? LOOK_AGAIN_MS : NOT_REGISTERED_YET_MS, signal).catch(() => {});
  }
}

function noticesOf({ destination, plan }: NoticeOptions, contracts: RegisteredContracts): Notice[] {
  const deprecations = destination.consumers.flatMap(({ topic, publicSchema, consumerSchema }) => {
    const registered = contracts.get(topic);
    // The registry is what the publisher runs with; its manifest at hand may be newer or older.
    const deprecated =
      registered === undefined ? publicSchema?.schema.deprecated : deprecationOf(registered.value);
    if (deprecated === undefined) return [];
    const { manifestSlug } = destination;
    return [deprecationNotice(deprecated, consumerSchema, consumerName({ manifestSlug, ...consumerSchema }))];
  });
  const misfits = checkAgainstRegistry(destination, plan, contracts).map(
    ({ code, message, hint, location }) => ({
      code,
      message: `${message} (${location})`,
      hint,
    }),
  );
  return [...deprecations, ...misfits];
}

function knownConsumers(
  { destination, plan }: NoticeOptions,
  contracts: RegisteredContracts,
): KnownConsumer[] {
  const { manifestSlug, eventStore } = destination;
  return destination.consumers.flatMap(({ topic, publicSchema, consumerSchema }) => {
    const contract =
      contracts.get(topic) ?? (publicSchema === undefined ? undefined : contractOf(publicSchema));
    if (contract === undefined) return [];
    const topicPrefix = eventStore.topicPrefix ?? "";
    return [{ manifestSlug, consumerSchema, group: plan.group, topicPrefix, contract }];
  });
}

function notRegistered(error: unknown): Notice {
  const known = error instanceof RejotError && error.code === "CONSUMER_NOT_REGISTERED" ? error : undefined;
  const { code, message, hint } =
    known ??
    new RejotError("CONSUMER_NOT_REGISTERED", {
      detail: error instanceof RejotError ? `${error.code}: ${error.message}` : String(error),
    });
  return { code, message, hint };
}
