import { createHash, timingSafeEqual } from "node:crypto";

/**
 * Whether an Authorization header carries the token. Both sides are hashed first: the comparison then takes the
 * same time whatever is sent, its length included.
 */
export function carriesToken(authorization: string | undefined, token: string): boolean {
  const sent = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1] ?? "";
  return timingSafeEqual(sha256(sent), sha256(token)) && sent !== "";
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
