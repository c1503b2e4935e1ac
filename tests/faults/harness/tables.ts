import type { ConsumerSchema, PublicSchema } from "../../../shared/manifest/schema.ts";

/** Who owns rows that come in great numbers: nobody, or each of them would add all the others up. */
const NOBODY = 0;

/** Rows in one transaction, each of nobody's own: or the planner takes it that all are one owner's. */
export function insertRows(from: number, count: number, body = "row"): string {
  return `INSERT INTO items SELECT ${from} + i, ${NOBODY} - i, i, nextval('versions'), '${body}'
    FROM generate_series(1, ${count}) i`;
}

/** Items are written by the workload; a trigger counts, in the same transaction, the events that each key must give. */
export const SOURCE_SQL = `
  CREATE TABLE owners (id int PRIMARY KEY);
  INSERT INTO owners SELECT generate_series(1, 6);
  CREATE TABLE items (id bigint PRIMARY KEY, owner int NOT NULL, n bigint NOT NULL, v bigint NOT NULL, body text);
  ALTER TABLE items REPLICA IDENTITY FULL;
  CREATE INDEX ON items (owner);
  CREATE SEQUENCE versions;
  CREATE TABLE audit (id bigint PRIMARY KEY, upserts bigint NOT NULL DEFAULT 0, deletes bigint NOT NULL DEFAULT 0,
    versions numeric NOT NULL DEFAULT 0);
  CREATE FUNCTION count_event() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
      INSERT INTO audit AS a (id, deletes) VALUES (OLD.id, 1) ON CONFLICT (id) DO UPDATE SET deletes = a.deletes + 1;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      INSERT INTO audit AS a (id, upserts, versions) VALUES (NEW.id, 1, NEW.v)
        ON CONFLICT (id) DO UPDATE SET upserts = a.upserts + 1, versions = a.versions + NEW.v;
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION count_event();`;

export const DESTINATION_SQL = `
  CREATE TABLE items (id bigint PRIMARY KEY, owner int NOT NULL, n bigint NOT NULL, v bigint NOT NULL, body text);
  CREATE TABLE owners (id int PRIMARY KEY, items bigint NOT NULL, total bigint NOT NULL);
  CREATE TABLE tally (id bigint PRIMARY KEY, upserts bigint NOT NULL DEFAULT 0, deletes bigint NOT NULL DEFAULT 0,
    versions numeric NOT NULL DEFAULT 0, last_v bigint NOT NULL DEFAULT 0, disorder bigint NOT NULL DEFAULT 0);`;

const totalsOf = (owner: string) => `SELECT o.id, count(i.id) AS items, coalesce(sum(i.n), 0)::bigint AS total
  FROM owners o LEFT JOIN items i ON i.owner = o.id WHERE o.id = ${owner} GROUP BY o.id`;

/** `item` is the row of the change, `owner` is read from the tables: the two ways of the transformer. */
export function publicSchemas(): PublicSchema[] {
  const integer = { type: "integer" };
  const itemSql = "SELECT id, owner, n, v, body FROM items WHERE id = :id";
  return [
    schema(
      "item",
      { id: integer, owner: integer, n: integer, v: integer, body: { type: ["string", "null"] } },
      [
        { operation: "insert", table: "items", sql: itemSql },
        { operation: "update", table: "items", sql: itemSql },
        { operation: "delete", table: "items", sql: "SELECT :id AS id" },
      ],
    ),
    schema("owner", { id: integer, items: integer, total: integer }, [
      { operation: "insert", table: "items", sql: totalsOf(":owner") },
      { operation: "update", table: "items", sql: totalsOf(":owner") },
      { operation: "delete", table: "items", sql: totalsOf(":owner"), emit: "upsert" },
      { operation: "insert", table: "owners", sql: totalsOf(":id") },
      { operation: "update", table: "owners", sql: totalsOf(":id") },
      { operation: "delete", table: "owners", sql: "SELECT :id AS id" },
    ]),
  ];
}

/** Two copies, and a statement that adds: what is applied twice or never shows in it. */
export function consumerSchemas(slug: string, onError: "stop" | "dlq"): ConsumerSchema[] {
  return [
    consumer(slug, onError, "copy-items", "item", {
      sql: `INSERT INTO items VALUES (:id, :owner, :n, :v, :body)
        ON CONFLICT (id) DO UPDATE SET owner = :owner, n = :n, v = :v, body = :body`,
      deleteSql: "DELETE FROM items WHERE id = :id",
    }),
    consumer(slug, onError, "tally-items", "item", {
      sql: `INSERT INTO tally AS t (id, upserts, versions, last_v) VALUES (:id, 1, :v, :v)
        ON CONFLICT (id) DO UPDATE SET upserts = t.upserts + 1, versions = t.versions + :v,
          last_v = :v, disorder = t.disorder + CASE WHEN :v > t.last_v THEN 0 ELSE 1 END`,
      deleteSql: `INSERT INTO tally AS t (id, deletes) VALUES (:id, 1)
        ON CONFLICT (id) DO UPDATE SET deletes = t.deletes + 1`,
    }),
    consumer(slug, onError, "copy-owners", "owner", {
      sql: `INSERT INTO owners VALUES (:id, :items, :total)
        ON CONFLICT (id) DO UPDATE SET items = :items, total = :total`,
      deleteSql: "DELETE FROM owners WHERE id = :id",
    }),
  ];
}

function schema(
  name: string,
  properties: Record<string, object>,
  transformations: PublicSchema["config"]["transformations"],
): PublicSchema {
  return {
    name,
    source: { dataStoreSlug: "source" },
    outputSchema: { type: "object", properties, required: Object.keys(properties) },
    key: ["id"],
    version: { major: 1, minor: 0 },
    config: { publicSchemaType: "postgres", transformations },
  };
}

function consumer(
  slug: string,
  onError: "stop" | "dlq",
  name: string,
  publicSchema: string,
  statements: { sql: string; deleteSql: string },
): ConsumerSchema {
  return {
    name,
    sourceManifestSlug: slug,
    publicSchema: { name: publicSchema, majorVersion: 1 },
    config: { consumerSchemaType: "postgres", destinationDataStoreSlug: "sink", onError, ...statements },
  };
}
