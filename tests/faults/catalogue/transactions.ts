import { type Fault, inTime, until } from "../harness/fault.ts";
import { insertRows } from "../harness/tables.ts";

const SIZE = "8. Transactions";
const KEYS = "9. Keys";

/** Takes long, and is made only when it is asked for. */
export const HUGE = "huge-transaction";

const subtransactions: Fault = {
  id: "subtransactions",
  group: SIZE,
  title: "10,000 subtransactions in one transaction, a third of them taken back, the source killed meanwhile",
  async run({ pipeline, random }) {
    const { sourceKafka } = pipeline.links;
    const sent = random.int(1, 4);
    let seen = 0;
    const hold = sourceKafka[0]?.hold(
      ({ name, text, bytes }) => name === "Produce" && text !== "" && bytes.length > 20_000 && ++seen > sent,
    );
    await pipeline.database.query(`DO $$ BEGIN
      FOR i IN 1..10000 LOOP
        BEGIN
          INSERT INTO items VALUES (10000 + i % 500, 1 + i % 6, i, nextval('versions'), NULL)
            ON CONFLICT (id) DO UPDATE SET n = excluded.n, v = excluded.v;
          IF i % 3 = 0 THEN RAISE EXCEPTION 'taken back'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL; END;
      END LOOP; END $$`);
    if (hold !== undefined) await inTime(hold.reached, 60_000, "the middle of the transaction");
    await pipeline.source?.kill();
    hold?.drop();
    await pipeline.start("source");
  },
};

/** Every event of it has the same commit LSN. */
const large = (rows: number, id: string, recoveryMs: number): Fault => ({
  id,
  group: SIZE,
  title: `a transaction of ${rows.toLocaleString("en")} rows; both killed in its middle`,
  recoveryMs,
  options: () => ({ sourceArgs: ["--max-rows", "2000"], sinkArgs: ["--max-rows", "1000"] }),
  async run({ pipeline, random }) {
    const { sourceKafka, destinationPostgres } = pipeline.links;
    const pieces = random.int(2, 6);
    let seen = 0;
    const hold = sourceKafka[0]?.hold(
      ({ name, text }) => name === "Produce" && text !== "" && ++seen > pieces,
    );
    await pipeline.database.query(insertRows(20_000, rows));
    if (hold !== undefined) await inTime(hold.reached, recoveryMs, "the middle of the transaction");
    await pipeline.source?.kill();
    hold?.drop();
    await (await pipeline.start("source")).waitForReady();
    const [before] = await pipeline.destination.query("SELECT count(*) AS n FROM items");
    await until(
      async () => {
        const [now] = await pipeline.destination.query("SELECT count(*) AS n FROM items");
        return Number(now?.n) > Number(before?.n) + 2_000;
      },
      recoveryMs,
      "the sink to be in the middle",
    );
    const applying = destinationPostgres.hold(({ name, text }) => name === "Bind" && text === "rejot_apply");
    await inTime(applying.reached, recoveryMs, "a batch of the transaction");
    await pipeline.sink?.kill();
    if (random.chance(0.5)) applying.release();
    else applying.drop();
    await pipeline.start("sink");
  },
});

const interleaved: Fault = {
  id: "interleaved-writers",
  quickSeed: 81,
  group: SIZE,
  title:
    "long transactions that overlap, commit in another order than they began, and one that is rolled back",
  async run({ pipeline, random, last }) {
    const clients = await Promise.all([1, 2, 3, 4].map(() => pipeline.database.connect()));
    for (const client of clients) await client.query("BEGIN");
    for (let i = 0; i < 20; i++) {
      for (const [n, client] of clients.entries()) {
        const id = 2_000 + n * 100 + random.int(0, 9);
        await client.query(
          `INSERT INTO items VALUES (${id}, ${random.int(1, 6)}, ${i}, nextval('versions'), NULL)
           ON CONFLICT (id) DO UPDATE SET n = excluded.n, v = excluded.v, owner = excluded.owner`,
        );
      }
      await last(20);
    }
    for (const [n, client] of clients.toReversed().entries()) {
      await client.query(n === 1 ? "ROLLBACK" : "COMMIT");
      await client.end();
    }
  },
};

const keyGames: Fault = {
  id: "keys",
  quickSeed: 91,
  group: KEYS,
  title:
    "keys swapped in a ring inside one transaction, changed, deleted and inserted again, killed in between",
  async run({ pipeline, random, last }) {
    await pipeline.database.query(insertRows(3_000, 50));
    for (let i = 0; i < 10; i++) {
      const shift = random.int(1, 49);
      await pipeline.database.query(`BEGIN;
        UPDATE items SET id = -id, v = nextval('versions') WHERE id BETWEEN 3001 AND 3050;
        UPDATE items SET id = 3001 + (-id - 3001 + ${shift}) % 50, v = nextval('versions') WHERE id BETWEEN -3050 AND -3001;
        DELETE FROM items WHERE id = ${3_001 + random.int(0, 49)};
        INSERT INTO items VALUES (${3_001 + random.int(0, 49)}, 2, ${i}, nextval('versions'), NULL)
          ON CONFLICT (id) DO UPDATE SET n = excluded.n, v = excluded.v;
        COMMIT`);
      await last(random.int(0, 300));
      if (i === 4) await pipeline.source?.kill();
      if (i === 5) await pipeline.keepAlive();
    }
  },
};

/** Transactions and keys of every form. */
export function transactions(hugeRows: number): readonly Fault[] {
  return [
    subtransactions,
    large(40_000, "large-transaction", 120_000),
    ...(hugeRows > 0 ? [large(hugeRows, HUGE, 900_000)] : []),
    interleaved,
    keyGames,
  ];
}
