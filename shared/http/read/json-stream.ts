import type { ReadEvent } from "./port.ts";

/** Characters collected before they are passed on, so that a small event does not cost a write of its own. */
const CHUNK_CHARS = 64 * 1024;

/**
 * The JSON text of GET /read's answer, in pieces: an array of transactions with their operations. Memory does not
 * grow with the answer, whatever the size of a transaction. The first piece comes only after the first event, so
 * that an error before it can still be answered with a status of its own.
 */
export async function* readJson(events: AsyncIterable<ReadEvent>): AsyncGenerator<string> {
  let text = "[";
  let open = false;
  let separator = "";
  for await (const { transactionId, begins, operation } of events) {
    if (begins) {
      text += `${open ? "]}," : ""}{"transactionId":${JSON.stringify(transactionId)},"operations":[`;
      open = true;
      separator = "";
    }
    text += separator + JSON.stringify(operation);
    separator = ",";
    if (text.length >= CHUNK_CHARS) {
      yield text;
      text = "";
    }
  }
  yield `${text}${open ? "]}" : ""}]`;
}
