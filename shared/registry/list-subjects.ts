import type { RegistryAnswer, RegistryRequest } from "./registry-http.ts";

/** Apicurio's list in Confluent's form ends, without a word, at 1,000 unless its operator has set another number. */
const SUSPICIOUS = 500;
const PAGE = 500;
/** In version 2 a part of the name finds a part of the id, too; of version 3 that is not known, so all are read. */
const SEARCHES = [
  { path: "/apis/registry/v2/search/artifacts", query: (text: string) => `&name=${text}` },
  { path: "/apis/registry/v3/search/artifacts", query: () => "" },
];

/** Which subjects are wanted; all of them when nothing is said. */
export interface SubjectFilter {
  readonly prefix?: string;
  readonly contains?: string;
}

/**
 * The subjects wanted, sorted. A list that may be cut off is read anew from Apicurio's own API, page by page: who is
 * missing from it would be a consumer that nobody knows of. Registries that have no such API do not cut.
 */
export async function listSubjects(
  request: RegistryRequest,
  refused: (answer: RegistryAnswer, what: string) => Error,
  filter: SubjectFilter = {},
): Promise<string[]> {
  const { prefix = "", contains = "" } = filter;
  // Apicurio's ignores it.
  const query = prefix === "" ? "" : `?subjectPrefix=${encodeURIComponent(prefix)}`;
  const answer = await request("GET", `/subjects${query}`);
  if (answer.status !== 200 || !Array.isArray(answer.body)) throw refused(answer, "the list of subjects");
  const listed = answer.body.map(String);
  const isFiltered = prefix !== "" && listed.every((subject) => subject.startsWith(prefix));
  const isWhole = listed.length < SUSPICIOUS || isFiltered;
  const found = isWhole ? undefined : await searchAll(request, prefix === "" ? contains : prefix);
  return [...new Set([...listed, ...(found ?? [])])]
    .filter((subject) => subject.startsWith(prefix) && subject.includes(contains))
    .sort();
}

async function searchAll(request: RegistryRequest, text: string): Promise<string[] | undefined> {
  for (const search of SEARCHES) {
    const found: string[] = [];
    const query = `limit=${PAGE}${text === "" ? "" : search.query(encodeURIComponent(text))}`;
    for (;;) {
      const page = artifactsOf(await request("GET", `${search.path}?${query}&offset=${found.length}`));
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
