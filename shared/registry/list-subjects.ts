import type { RegistryAnswer, RegistryRequest } from "./registry-http.ts";

/** Apicurio's list in Confluent's form ends, without a word, at 1,000 unless its operator has set another number. */
const SUSPICIOUS = 500;
const PAGE = 500;
const SEARCHES = ["/apis/registry/v2/search/artifacts", "/apis/registry/v3/search/artifacts"];

/**
 * All subjects, sorted. A list that may be cut off is read anew from Apicurio's own API, page by page: who is missing
 * from it would be a consumer that nobody knows of. Registries that have no such API do not cut.
 */
export async function listSubjects(
  request: RegistryRequest,
  refused: (answer: RegistryAnswer, what: string) => Error,
): Promise<string[]> {
  const answer = await request("GET", "/subjects");
  if (answer.status !== 200 || !Array.isArray(answer.body)) throw refused(answer, "the list of subjects");
  const listed = answer.body.map(String);
  const found = listed.length < SUSPICIOUS ? undefined : await searchAll(request);
  return [...new Set([...listed, ...(found ?? [])])].sort();
}

async function searchAll(request: RegistryRequest): Promise<string[] | undefined> {
  for (const path of SEARCHES) {
    const found: string[] = [];
    for (;;) {
      const page = artifactsOf(await request("GET", `${path}?limit=${PAGE}&offset=${found.length}`));
      if (page === undefined) break;
      found.push(...page.map(({ id, artifactId }) => String(id ?? artifactId)));
      if (page.length < PAGE) return found;
    }
  }
  return undefined;
}

interface Artifact {
  readonly id?: unknown;
  readonly artifactId?: unknown;
}

function artifactsOf({ status, body }: RegistryAnswer): readonly Artifact[] | undefined {
  const { artifacts } = (body ?? {}) as { artifacts?: unknown };
  return status === 200 && Array.isArray(artifacts) ? (artifacts as Artifact[]) : undefined;
}
