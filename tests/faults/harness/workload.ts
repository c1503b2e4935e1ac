import { setTimeout as delay } from "node:timers/promises";
import type { TestDatabase } from "../../support/database.ts";
import type { Random } from "../../support/random.ts";

const KEYS_PER_WRITER = 40;
const PAUSE_MS = 15;
const STOP_MS = 30_000;

/** Writers that go on until they are stopped, each on keys of its own, so that versions grow per key. */
export interface Workload {
  /** Transactions that were committed. */
  readonly committed: number;
  stop(): Promise<void>;
}

/** Statements on one writer's keys; several make one transaction. */
type Statement = (random: Random, key: () => number) => string;

/** Too large for its row and not to be compressed, now and then: an update that leaves it alone does not log it. */
const bodyOf = (r: Random): string =>
  r.chance(0.04)
    ? `(SELECT string_agg(md5('${r.int(0, 9_999)}' || i), '') FROM generate_series(1, 200) i)`
    : r.pick([`'${"x".repeat(r.int(0, 200))}'`, "NULL"]);

const upsert: Statement = (r, key) =>
  `INSERT INTO items VALUES (${key()}, ${r.int(1, 6)}, ${r.int(0, 1_000)}, nextval('versions'), ${bodyOf(r)})
   ON CONFLICT (id) DO UPDATE SET n = excluded.n, v = excluded.v, owner = excluded.owner, body = excluded.body`;
const update: Statement = (r, key) =>
  `UPDATE items SET n = n + ${r.int(1, 9)}, v = nextval('versions') WHERE id = ${key()}`;
const remove: Statement = (_r, key) => `DELETE FROM items WHERE id = ${key()}`;
const move: Statement = (_r, key) => {
  const to = key();
  return `UPDATE items SET id = ${to}, v = nextval('versions')
    WHERE id = ${key()} AND NOT EXISTS (SELECT FROM items WHERE id = ${to})`;
};
/** Two rows change places by way of a third key. */
const swap: Statement = (r, key) => {
  const [a, b] = [key(), key()];
  if (a === b) return update(r, key);
  const away = -a;
  return [
    `UPDATE items SET id = ${away}, v = nextval('versions') WHERE id = ${a}`,
    `UPDATE items SET id = ${a}, v = nextval('versions') WHERE id = ${b}`,
    `UPDATE items SET id = ${b}, v = nextval('versions') WHERE id = ${away}`,
  ].join(";");
};
const insertThenDelete: Statement = (r, key) => {
  const same = key();
  return `${upsert(r, () => same)};DELETE FROM items WHERE id = ${same}`;
};
const deleteThenInsert: Statement = (r, key) => {
  const same = key();
  return `DELETE FROM items WHERE id = ${same};${upsert(r, () => same)}`;
};
const takenBack: Statement = (r, key) =>
  `SAVEPOINT a;${update(r, key)};SAVEPOINT b;${remove(r, key)};ROLLBACK TO a;${update(r, key)}`;

const STATEMENTS: readonly Statement[] = [
  upsert,
  upsert,
  upsert,
  update,
  update,
  remove,
  move,
  swap,
  insertThenDelete,
  deleteThenInsert,
  takenBack,
];

/** Rows that all writers change, each at the end of its transaction, so that they wait for each other and never deadlock. */
const SHARED = [9_000_000_001, 9_000_000_002, 9_000_000_003];

const makeShared = SHARED.map(
  (id) => `INSERT INTO items VALUES (${id}, 1, 0, nextval('versions'), NULL) ON CONFLICT DO NOTHING`,
).join(";");

const changeShared = (r: Random): string =>
  `UPDATE items SET n = n + 1, v = nextval('versions') WHERE id = ${r.pick(SHARED)}`;

/** The SQL of one random transaction on a writer's keys, and whether it commits. */
export function transactionSql(random: Random, writer: number): { sql: string; commits: boolean } {
  const key = () => 1 + writer * KEYS_PER_WRITER + random.int(0, KEYS_PER_WRITER - 1);
  const statements = Array.from({ length: random.int(1, 5) }, () => random.pick(STATEMENTS)(random, key));
  if (random.chance(0.2)) statements.push(changeShared(random));
  const commits = !random.chance(0.1);
  return { sql: `BEGIN;${statements.join(";")};${commits ? "COMMIT" : "ROLLBACK"}`, commits };
}

/** Starts writing. A writer whose server goes away connects again; what was committed the server itself counts. */
export function startWorkload(database: TestDatabase, random: Random, writers = 2): Workload {
  const stopping = new AbortController();
  let committed = 0;
  const write = async (writer: number, own: Random): Promise<void> => {
    let client = await database.connect();
    await client.query(makeShared);
    while (!stopping.signal.aborted) {
      try {
        const { sql, commits } = transactionSql(own, writer);
        await client.query(sql);
        if (commits) committed++;
      } catch {
        await client.end().catch(() => {});
        client = await connected(database, stopping.signal);
      }
      await delay(PAUSE_MS);
    }
    await client.end().catch(() => {});
  };
  const running = Array.from({ length: writers }, (_, writer) => write(writer, random.fork()));
  for (const writer of running) writer.catch(() => {});
  return {
    get committed() {
      return committed;
    },
    stop: async () => {
      stopping.abort();
      // A server that hangs for good never answers the last statement.
      await Promise.race([Promise.all(running), delay(STOP_MS, undefined, { ref: false })]);
    },
  };
}

async function connected(database: TestDatabase, signal: AbortSignal) {
  for (;;) {
    try {
      return await database.connect();
    } catch (error) {
      if (signal.aborted) throw error;
      await delay(100);
    }
  }
}
