import { type Deprecation, deprecationOf } from "../../shared/contracts/deprecation.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { checkWorkspace } from "../../shared/manifest/workspace.ts";
import { latestContract } from "../../shared/registry/published-usages.ts";
import { loadSurroundings } from "../workspace-file.ts";
import { ownConsumers } from "./own-consumers.ts";

/** A consumer schema, and what is known of the version it reads. */
export interface ListedRead {
  readonly manifest: string;
  readonly consumerSchema: string;
  /** The public schema. */
  readonly reads: { readonly manifest: string; readonly schema: string; readonly majorVersion: number };
  readonly topic: string;
  readonly group: string;
  /** Whether the registry has the version. */
  readonly registered: boolean;
  readonly deprecated: Deprecation | null;
}

/** What the manifests' consumer schemas read, as the registry has it. Throws SECRET_NOT_FOUND, REGISTRY_*. */
export async function listReads(
  manifestFile: string,
  manifests: readonly LoadedManifest[],
  env: Environment,
): Promise<ListedRead[]> {
  const { target, others } = await loadSurroundings(manifestFile);
  const workspace = [target, ...others];
  const { publicSchemas } = await checkWorkspace(workspace);
  const listed: ListedRead[] = [];
  for (const { loaded, consumerSchema, publicSchema, topic, group, registry } of ownConsumers(
    manifests,
    workspace,
    publicSchemas,
    env,
  )) {
    const { name, sourceManifestSlug: manifest, publicSchema: wanted } = consumerSchema;
    const contract = await latestContract(registry, topic);
    const deprecated =
      contract === undefined ? publicSchema?.schema.deprecated : deprecationOf(contract.value);
    listed.push({
      manifest: loaded.manifest.slug,
      consumerSchema: name,
      reads: { manifest, schema: wanted.name, majorVersion: wanted.majorVersion },
      topic,
      group,
      registered: contract !== undefined,
      deprecated: deprecated ?? null,
    });
  }
  return listed;
}
