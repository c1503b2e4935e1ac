import { RejotError } from "../../shared/errors/error.ts";
import { loadManifests } from "../../shared/manifest/load.ts";
import { type ResolvedDestination, resolveWorkspace } from "../../shared/manifest/workspace.ts";
import type { CliContext } from "../context.ts";

/** A destination and which of its consumer schemas are meant. */
export interface Target {
  readonly destination: ResolvedDestination;
  /** `manifest/consumer-schema`; undefined means all, also those that the manifest has no more. */
  readonly consumerNames: readonly string[] | undefined;
}

/**
 * The destinations of a manifest; with `schema` (`items` or `shop/items`) those of that consumer schema.
 * Throws NOTHING_TO_APPLY, USAGE, MANIFEST_* and SECRET_NOT_FOUND.
 */
export async function targetsOf(
  manifest: string,
  schema: string | undefined,
  { env }: CliContext,
): Promise<Target[]> {
  const { destinations } = await resolveWorkspace(await loadManifests([manifest]), env, ["sink"]);
  if (destinations.length === 0) throw new RejotError("NOTHING_TO_APPLY");
  if (schema === undefined)
    return destinations.map((destination) => ({ destination, consumerNames: undefined }));
  const targets = destinations.flatMap((destination) => {
    const consumerNames = namesOf(destination).filter(
      (name) => name === schema || name === `${destination.manifestSlug}/${schema}`,
    );
    return consumerNames.length === 0 ? [] : [{ destination, consumerNames }];
  });
  if (targets.length > 0) return targets;
  const known = destinations.flatMap(namesOf).join(", ");
  throw new RejotError("USAGE", { detail: `there is no consumer schema "${schema}"; there are: ${known}` });
}

/** A destination as people know it. */
export function nameOf({ destination: { manifestSlug, dataStoreSlug } }: Target): string {
  return `${manifestSlug} → ${dataStoreSlug}`;
}

/** Why there is nothing to see where nobody sets events aside. */
export const NOTHING_SET_ASIDE =
  'No consumer schema here has onError: "dlq": with "stop" an event that fails waits in its topic, and is applied once its cause is put right.';

/** Whether no consumer schema of the destination sets events aside. */
export function setsNothingAside({ destination, consumerNames }: Target): boolean {
  return destination.consumers.every(
    ({ consumerSchema: { name, config } }) =>
      consumerNames?.includes(`${destination.manifestSlug}/${name}`) === false || config.onError !== "dlq",
  );
}

function namesOf({ manifestSlug, consumers }: ResolvedDestination): string[] {
  return consumers.map(({ consumerSchema }) => `${manifestSlug}/${consumerSchema.name}`);
}
