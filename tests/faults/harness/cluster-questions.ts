import { connect } from "node:net";
import { LOOPBACK } from "../../../compose/dev-stack/ports.ts";

/** Where a partition is, as the broker that was asked knows it; leader -1: it has none. */
export interface PartitionPlace {
  readonly topic: string;
  readonly partition: number;
  readonly leader: number;
  readonly inSync: readonly number[];
}

const ANSWER_MS = 2_000;
const CLIENT = "faults";
const METADATA = 3;
const FIND_COORDINATOR = 10;
const DESCRIBE_QUORUM = 55;
const DESCRIBE_TRANSACTIONS = 65;
const KINDS = { group: 0, transaction: 1 } as const;
const QUORUM_TOPIC = "__cluster_metadata";

/** Where all partitions are. kafkajs cannot be told which broker to ask, and one that hangs holds it up. */
export async function askPlaces(port: number): Promise<PartitionPlace[]> {
  const answer = await ask(port, METADATA, 1, int32(-1));
  answer.array(() => [answer.int32(), answer.text(), answer.int32(), answer.text()]);
  answer.int32();
  const topics = answer.array(() => {
    answer.int16();
    const topic = answer.text();
    answer.int8();
    return answer.array(() => {
      answer.int16();
      const [partition, leader] = [answer.int32(), answer.int32()];
      answer.array(() => answer.int32());
      return { topic, partition, leader, inSync: answer.array(() => answer.int32()) };
    });
  });
  return topics.flat();
}

/** The node that coordinates a group or the transactions of a transactional id. Throws while it has none. */
export async function askCoordinator(port: number, kind: keyof typeof KINDS, key: string): Promise<number> {
  const answer = await ask(port, FIND_COORDINATOR, 1, text(key), Buffer.from([KINDS[kind]]));
  answer.int32();
  const error = answer.int16();
  if (error !== 0) throw new Error(`the coordinator of ${key} is not known: error ${error}`);
  answer.text();
  return answer.int32();
}

/** "Ongoing", "CompleteAbort", …: the state of a transactional id, asked at its coordinator. */
export async function askTransactionState(port: number, transactionalId: string): Promise<string> {
  const answer = await ask(port, DESCRIBE_TRANSACTIONS, 0, NO_TAGS, only(compact(transactionalId)), NO_TAGS);
  answer.skip(TAGS_BYTES + THROTTLE_BYTES);
  const isOne = answer.isOne();
  const error = answer.int16();
  if (!isOne || error !== 0) throw new Error(`the state of ${transactionalId} is not known: error ${error}`);
  answer.compactText();
  return answer.compactText();
}

/** Whether a controller, asked at its own port, leads the quorum: only that one describes it. */
export async function leadsQuorum(controllerPort: number): Promise<boolean> {
  const topic = [compact(QUORUM_TOPIC), only(int32(0), NO_TAGS), NO_TAGS];
  const answer = await ask(controllerPort, DESCRIBE_QUORUM, 0, NO_TAGS, only(...topic), NO_TAGS);
  answer.skip(TAGS_BYTES);
  if (answer.int16() !== 0 || !answer.isOne()) return false;
  answer.compactText();
  if (!answer.isOne() || answer.int32() !== 0) return false;
  return answer.int16() === 0;
}

/** Of newer forms of messages: fields that nobody needs to know, here none; arrays and texts with short lengths. */
const NO_TAGS = Buffer.from([0]);
const TAGS_BYTES = 1;
const THROTTLE_BYTES = 4;

/** An array of one element. */
function only(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([2]), ...parts]);
}

/** Of fewer than 127 bytes. */
function compact(value: string): Buffer {
  return Buffer.concat([Buffer.from([Buffer.byteLength(value) + 1]), Buffer.from(value)]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}

/** One question on a connection of its own; what follows the correlation id of the answer. */
function ask(port: number, api: number, version: number, ...body: readonly Buffer[]): Promise<Answer> {
  const request = Buffer.concat([int16(api), int16(version), int32(0), text(CLIENT), ...body]);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const socket = connect(port, LOOPBACK, () => socket.write(Buffer.concat([int32(request.length), request])));
  let received = Buffer.alloc(0);
  socket.setTimeout(ANSWER_MS, () => reject(new Error(`port ${port} does not answer`)));
  socket.once("error", reject);
  socket.once("close", () => reject(new Error(`port ${port} ends the connection`)));
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    if (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
      resolve(new Answer(received.subarray(8)));
    }
  });
  return promise.finally(() => socket.destroy());
}

class Answer {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(bytes: number): number {
    this.#at += bytes;
    return this.#at - bytes;
  }

  int8(): number {
    return this.#bytes.readInt8(this.skip(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.skip(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.skip(4));
  }

  /** Empty for null. */
  text(): string {
    const length = Math.max(0, this.int16());
    const from = this.skip(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  compactText(): string {
    const length = this.int8() - 1;
    const from = this.skip(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  /** Whether an array with a short length has one element. */
  isOne(): boolean {
    return this.int8() === 2;
  }

  array<T>(element: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, element);
  }
}
