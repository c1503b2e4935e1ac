import { RejotError } from "../../shared/errors/error.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import {
  BACKFILL_PREFIX,
  type Change,
  type Relation,
  type RelationColumn,
  type RowImage,
  UNCHANGED,
  type WalMessage,
} from "../ports.ts";

/** Postgres counts microseconds from 2000-01-01. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

const BEGIN = 0x42;
const COMMIT = 0x43;
const RELATION = 0x52;
const INSERT = 0x49;
const UPDATE = 0x55;
const DELETE = 0x44;
const TRUNCATE = 0x54;
const MESSAGE = 0x4d;
const KEY = 0x4b;
const OLD = 0x4f;

/**
 * Decodes the messages of one replication connection, which names each relation before its first change.
 * Format: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 * Values become strings here, at once: the buffer belongs to node-pg's parser, which reuses it.
 */
export class PgoutputDecoder {
  readonly #relations = new Map<number, Relation>();
  readonly #wanted: (relation: Relation) => boolean;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;

  /** Changes of relations that are not wanted (an ALL TABLES publication) are passed over undecoded. */
  constructor(wanted: (relation: Relation) => boolean = () => true) {
    this.#wanted = wanted;
  }

  /** Undefined for what needs no action. Throws REPLICATION_PROTOCOL when the message is not what the protocol promises. */
  decode(buffer: Buffer): WalMessage | undefined {
    this.#buffer = buffer;
    this.#at = 1;
    switch (buffer[0]) {
      case INSERT:
        return this.#insert();
      case UPDATE:
        return this.#update();
      case DELETE:
        return this.#delete();
      case BEGIN:
        return { kind: "begin", commitLsn: this.#lsn(), commitTimeMs: this.#timeMs(), xid: this.#uint32() };
      case COMMIT:
        this.#at += 9;
        return { kind: "commit", endLsn: this.#lsn() };
      case RELATION:
        this.#relation();
        return undefined;
      case TRUNCATE:
        return this.#truncate();
      case MESSAGE:
        return this.#message();
      default:
        return undefined;
    }
  }

  #insert(): WalMessage | undefined {
    const relation = this.#wantedRelation();
    if (relation === undefined) return undefined;
    this.#at++;
    const after = this.#tuple();
    return this.#change({ op: "c", relation, after, before: null });
  }

  #update(): WalMessage | undefined {
    const relation = this.#wantedRelation();
    if (relation === undefined) return undefined;
    const marker = this.#buffer[this.#at++];
    let before: RowImage | null = null;
    if (marker === KEY || marker === OLD) {
      before = this.#tuple();
      this.#at++;
    }
    const after = this.#tuple();
    if (before !== null) {
      fillUnchanged(after, before, (i) => marker === OLD || relation.columns[i]?.identity === true);
    }
    return this.#change({ op: "u", relation, after, before });
  }

  #delete(): WalMessage | undefined {
    const relation = this.#wantedRelation();
    if (relation === undefined) return undefined;
    this.#at++;
    return this.#change({ op: "d", relation, after: null, before: this.#tuple() });
  }

  #change(change: Change): WalMessage | undefined {
    return { kind: "change", change, bytes: this.#buffer.length };
  }

  #wantedRelation(): Relation | undefined {
    const oid = this.#uint32();
    const relation = this.#relations.get(oid);
    if (relation === undefined) {
      throw new RejotError("REPLICATION_PROTOCOL", {
        detail: `a change of relation ${oid}, which was not described`,
      });
    }
    return this.#wanted(relation) ? relation : undefined;
  }

  #tuple(): (string | null | typeof UNCHANGED)[] {
    const buffer = this.#buffer;
    const columns = buffer.readUInt16BE(this.#at);
    let at = this.#at + 2;
    const values = new Array<string | null | typeof UNCHANGED>(columns);
    for (let i = 0; i < columns; i++) {
      const kind = buffer[at++];
      if (kind === 0x74) {
        const end = at + 4 + buffer.readUInt32BE(at);
        values[i] = buffer.toString("utf8", at + 4, end);
        at = end;
      } else if (kind === 0x6e) values[i] = null;
      else if (kind === 0x75) values[i] = UNCHANGED;
      else throw new RejotError("REPLICATION_PROTOCOL", { detail: `a column value of kind ${kind}` });
    }
    this.#at = at;
    return values;
  }

  #relation(): void {
    const oid = this.#uint32();
    const schema = this.#cString() || "pg_catalog";
    const name = this.#cString();
    const replicaIdentity = String.fromCharCode(this.#byte()) as Relation["replicaIdentity"];
    const columns: RelationColumn[] = [];
    for (let left = this.#uint16(); left > 0; left--) {
      const identity = this.#byte() === 1;
      const columnName = this.#cString();
      const typeOid = this.#uint32();
      this.#at += 4;
      columns.push({ name: columnName, typeOid, identity });
    }
    this.#relations.set(oid, { oid, schema, name, replicaIdentity, columns });
  }

  #truncate(): WalMessage | undefined {
    let count = this.#uint32();
    this.#at++;
    const relations: Relation[] = [];
    for (; count > 0; count--) {
      const relation = this.#wantedRelation();
      if (relation !== undefined) relations.push(relation);
    }
    return relations.length === 0 ? undefined : { kind: "truncate", relations };
  }

  /** Of all messages that programs put into the WAL, those that the backfill has put into a transaction. */
  #message(): WalMessage | undefined {
    const transactional = this.#byte() === 1;
    this.#at += 8;
    if (this.#cString() !== BACKFILL_PREFIX || !transactional) return undefined;
    const length = this.#buffer.readUInt32BE(this.#at);
    const from = this.#at + 4;
    return { kind: "mark", content: this.#buffer.toString("utf8", from, from + length) };
  }

  #byte(): number {
    return this.#buffer.readUInt8(this.#at++);
  }

  #uint16(): number {
    this.#at += 2;
    return this.#buffer.readUInt16BE(this.#at - 2);
  }

  #uint32(): number {
    this.#at += 4;
    return this.#buffer.readUInt32BE(this.#at - 4);
  }

  #lsn(): Lsn {
    this.#at += 8;
    return this.#buffer.readBigUInt64BE(this.#at - 8) as Lsn;
  }

  #timeMs(): number {
    this.#at += 8;
    return POSTGRES_EPOCH_MS + Number(this.#buffer.readBigInt64BE(this.#at - 8) / 1000n);
  }

  #cString(): string {
    const end = this.#buffer.indexOf(0, this.#at);
    const text = this.#buffer.toString("utf8", this.#at, end);
    this.#at = end + 1;
    return text;
  }
}

/** The old row holds what the new one leaves out: all of it under REPLICA IDENTITY FULL, else the key. */
function fillUnchanged(
  after: (string | null | typeof UNCHANGED)[],
  before: RowImage,
  isInBefore: (column: number) => boolean,
): void {
  for (const [i, value] of after.entries()) {
    if (value === UNCHANGED && isInBefore(i)) after[i] = before[i] ?? null;
  }
}
