import type { RegistryAnswer, RegistryRequest } from "./registry-http.ts";

/** What an answer that is no success becomes. */
type Refusal = (answer: RegistryAnswer, what: string) => Error;

/**
 * Makes a schema the latest of a subject that promises nothing about compatibility. Confluent's registry takes the
 * level before the first version; Apicurio's knows no level of a subject that does not exist, so it is set again
 * after. Where a global rule of the registry refuses the new version all the same, the subject begins anew.
 */
export async function putFreely(
  request: RegistryRequest,
  subject: string,
  body: object,
  refused: Refusal,
): Promise<void> {
  const path = `/subjects/${encodeURIComponent(subject)}`;
  const level = () => request("PUT", `/config/${encodeURIComponent(subject)}`, { compatibility: "NONE" });
  const before = await level();
  let answer = await request("POST", `${path}/versions`, body);
  if (answer.status === 409) {
    await request("DELETE", path);
    answer = await request("POST", `${path}/versions`, body);
  }
  if (answer.status !== 200) throw refused(answer, subject);
  if (before.status !== 200) await level();
}

/** Takes a subject back. False when there was none. Confluent's registry keeps what it held until it is purged. */
export async function removeSubject(
  request: RegistryRequest,
  subject: string,
  refused: Refusal,
): Promise<boolean> {
  const answer = await request("DELETE", `/subjects/${encodeURIComponent(subject)}`);
  if (answer.status === 200) return true;
  // A 404 without the registry's own code is a wrong address, not a missing subject.
  const code = (answer.body as { error_code?: unknown } | null)?.error_code;
  if (answer.status === 404 && String(code).startsWith("404")) return false;
  throw refused(answer, subject);
}
