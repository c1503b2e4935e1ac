import type { DeadLetterRecord } from "./letter.ts";

/** kafkajs makes one record batch of all that is sent to a partition at once, and brokers refuse one above 1 MB by default. */
const MAX_BYTES = 512 * 1024;
const MAX_LETTERS = 500;

/** Cuts letters into portions that are sent at once, in order; one that is larger than a portion is alone in its own. */
export function chunksOf<T extends { readonly record: DeadLetterRecord }>(letters: readonly T[]): T[][] {
  const chunks: T[][] = [];
  let chunk: T[] = [];
  let bytes = 0;
  for (const letter of letters) {
    const size = sizeOf(letter.record);
    if (chunk.length > 0 && (chunk.length === MAX_LETTERS || bytes + size > MAX_BYTES)) {
      chunks.push(chunk);
      chunk = [];
      bytes = 0;
    }
    chunk.push(letter);
    bytes += size;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}

function sizeOf({ key, value, headers }: DeadLetterRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0);
  for (const [name, text] of Object.entries(headers)) bytes += name.length + Buffer.byteLength(text);
  return bytes;
}
