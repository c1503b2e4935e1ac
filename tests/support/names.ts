import { randomBytes } from "node:crypto";

/** A name that no other test uses: letters, digits and underscores, good for databases, slots and topics. */
export function randomName(prefix: string): string {
  return `${prefix}_${randomBytes(5).toString("hex")}`;
}
