/** kafkajs puts a question that is not answered a dozen times, 30 s each; nobody who waits for a command does that. */
const ANSWER_MS = 20_000;
const GOODBYE_MS = 1_000;

/**
 * What Kafka answers. Throws when that takes longer than 20 s, as it does with brokers that take connections but hang;
 * the question then goes on unheeded. To be given its code by `kafkaError`.
 */
export async function answered<T>(question: Promise<T>): Promise<T> {
  const late = new Error(`no answer for ${ANSWER_MS / 1_000} s`);
  return await within(question, ANSWER_MS, () => Promise.reject(late));
}

/**
 * Closes a client of kafkajs. One with unanswered questions would wait for their answers: it is left to itself after a
 * second. Never throws.
 */
export async function disconnect(client: { disconnect(): Promise<void> }): Promise<void> {
  const gone = client.disconnect().catch(() => {});
  await within(gone, GOODBYE_MS, () => Promise.resolve());
}

async function within<T>(work: Promise<T>, ms: number, late: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  }).then(late);
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
