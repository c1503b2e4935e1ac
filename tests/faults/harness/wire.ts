/** One message of a protocol, as a link passes it on. */
export interface WireMessage {
  /** Of a Kafka request and its answer: "Produce", "EndTxn", …; of Postgres: "Query", "Bind", … */
  readonly name: string;
  readonly direction: "request" | "answer";
  /** SQL, the name of a prepared statement, or a transactional id. */
  readonly text: string;
  readonly bytes: Buffer;
}

/** Whether a message is Postgres's refusal with a SQLSTATE. */
export function isRefusal({ name, direction, bytes }: WireMessage, sqlState: string): boolean {
  return direction === "answer" && name === "ErrorResponse" && bytes.includes(`C${sqlState}\0`);
}

/** Cuts both directions of one connection into messages; bytes of the next message are kept until it is whole. */
export interface Wire {
  requests(chunk: Buffer): WireMessage[];
  answers(chunk: Buffer): WireMessage[];
}

const KAFKA_NAMES: Readonly<Record<number, string>> = {
  0: "Produce",
  1: "Fetch",
  2: "ListOffsets",
  3: "Metadata",
  8: "OffsetCommit",
  10: "FindCoordinator",
  11: "JoinGroup",
  12: "Heartbeat",
  13: "LeaveGroup",
  14: "SyncGroup",
  22: "InitProducerId",
  24: "AddPartitionsToTxn",
  26: "EndTxn",
};
/** Their answers name brokers by host and port. */
const WITH_ADDRESSES = new Set(["Metadata", "FindCoordinator"]);
const LOOPBACK = Buffer.from("127.0.0.1");

/**
 * Kafka's protocol. Brokers tell clients where the others are: each port in `ports` is replaced by its link's, so that
 * clients never leave the links.
 */
export function kafkaWire(ports: ReadonlyMap<number, number>): Wire {
  const requests = new Splitter("kafka");
  const answers = new Splitter("kafka");
  const asked = new Map<number, string>();
  return {
    requests: (chunk) =>
      requests.split(chunk).map((bytes) => {
        const name = KAFKA_NAMES[bytes.readInt16BE(4)] ?? `Api${bytes.readInt16BE(4)}`;
        asked.set(bytes.readInt32BE(8), name);
        return { name, direction: "request", text: transactionalId(name, bytes), bytes };
      }),
    answers: (chunk) =>
      answers.split(chunk).map((bytes) => {
        const correlation = bytes.readInt32BE(4);
        const name = asked.get(correlation) ?? "Unknown";
        asked.delete(correlation);
        if (WITH_ADDRESSES.has(name)) replacePorts(bytes, ports);
        return { name, direction: "answer", text: "", bytes };
      }),
  };
}

/** Tells the publisher's own produce requests from signs of life, which are outside of transactions. */
function transactionalId(name: string, bytes: Buffer): string {
  if (name !== "Produce" && name !== "EndTxn") return "";
  const clientLength = Math.max(0, bytes.readInt16BE(12));
  const at = 14 + clientLength;
  const length = bytes.readInt16BE(at);
  return length < 0 ? "" : bytes.toString("utf8", at + 2, at + 2 + length);
}

function replacePorts(bytes: Buffer, ports: ReadonlyMap<number, number>): void {
  for (let at = bytes.indexOf(LOOPBACK); at >= 0; at = bytes.indexOf(LOOPBACK, at + 1)) {
    const portAt = at + LOOPBACK.length;
    if (portAt + 4 > bytes.length) return;
    const port = ports.get(bytes.readInt32BE(portAt));
    if (port !== undefined) bytes.writeInt32BE(port, portAt);
  }
}

const FRONTEND: Readonly<Record<string, string>> = {
  Q: "Query",
  P: "Parse",
  B: "Bind",
  E: "Execute",
  S: "Sync",
  d: "CopyData",
  X: "Terminate",
};
const BACKEND: Readonly<Record<string, string>> = {
  C: "CommandComplete",
  E: "ErrorResponse",
  Z: "ReadyForQuery",
  d: "CopyData",
};

/** Postgres's protocol. The text of an answer is that of the statement it belongs to. */
export function postgresWire(): Wire {
  const requests = new Splitter("postgres", 1);
  const answers = new Splitter("postgres");
  let statement = "";
  let begun = false;
  return {
    requests: (chunk) =>
      requests.split(chunk).map((bytes) => {
        if (!begun) {
          begun = true;
          return { name: "Startup", direction: "request", text: bytes.toString("latin1", 8), bytes };
        }
        const type = String.fromCharCode(bytes[0] ?? 0);
        const text = type === "Q" || type === "P" || type === "B" ? textOf(type, bytes) : statement;
        if (type === "Q" || type === "B") statement = text;
        return { name: FRONTEND[type] ?? type, direction: "request", text, bytes };
      }),
    answers: (chunk) =>
      answers.split(chunk).map((bytes) => {
        const type = String.fromCharCode(bytes[0] ?? 0);
        return { name: BACKEND[type] ?? type, direction: "answer", text: statement, bytes };
      }),
  };
}

/** A Bind names its portal and then its statement. */
function textOf(type: string, bytes: Buffer): string {
  const end = bytes.indexOf(0, 5);
  const first = bytes.toString("utf8", 5, end);
  if (type !== "B") return first;
  return bytes.toString("utf8", end + 1, bytes.indexOf(0, end + 1));
}

/** Bytes as they come: nothing can be held by name. */
export function rawWire(): Wire {
  const whole = (direction: "request" | "answer") => (bytes: Buffer) => [
    { name: "", direction, text: "", bytes },
  ];
  return { requests: whole("request"), answers: whole("answer") };
}

const LENGTH_BYTES = 4;

/** Kafka: a length, then so many bytes. Postgres: a type, then a length that counts itself. */
class Splitter {
  readonly #kind: "kafka" | "postgres";
  /** So many messages at the beginning have no type. */
  #untyped: number;
  #rest = Buffer.alloc(0);

  constructor(kind: "kafka" | "postgres", untyped = 0) {
    this.#kind = kind;
    this.#untyped = untyped;
  }

  split(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const messages: Buffer[] = [];
    for (let size = this.#size(); size <= this.#rest.length; size = this.#size()) {
      messages.push(Buffer.from(this.#rest.subarray(0, size)));
      this.#rest = this.#rest.subarray(size);
      if (this.#untyped > 0) this.#untyped--;
    }
    return messages;
  }

  /** Of the first message, as far as it can be told: Infinity while it cannot. */
  #size(): number {
    const typeBytes = this.#kind === "kafka" || this.#untyped > 0 ? 0 : 1;
    if (this.#rest.length < typeBytes + LENGTH_BYTES) return Number.POSITIVE_INFINITY;
    const length = this.#rest.readInt32BE(typeBytes);
    return this.#kind === "kafka" ? length + LENGTH_BYTES : typeBytes + length;
  }
}
