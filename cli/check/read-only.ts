import type { Node, SqlTemplate } from "../../shared/postgres/sql/template.ts";

/** What a statement does beside reading, as the end of a sentence, and where it stands in `numbered` (bytes). */
export interface Writing {
  readonly does: string;
  readonly location: number | undefined;
}

/** Statements and clauses that do more than read. Where the grammar knows the kind, the tree has the field's name. */
const WRITING_KINDS: Record<string, string> = {
  InsertStmt: "it inserts",
  UpdateStmt: "it updates",
  DeleteStmt: "it deletes",
  MergeStmt: "it merges",
  IntoClause: "it has SELECT INTO",
  intoClause: "it has SELECT INTO",
  LockingClause: "it locks rows (FOR UPDATE or FOR SHARE)",
};

/**
 * Functions that come with Postgres, or with dblink, and change something: sequences, other sessions, locks,
 * settings, large objects, the WAL. Functions of a team's own are not known here; the source's read-only
 * transaction refuses what they write.
 */
const CHANGING_FUNCTIONS =
  /^(nextval|setval|pg_notify|set_config|pg_(try_)?advisory_\w+|pg_logical_emit_message|pg_(cancel|terminate)_backend|pg_(create|drop|copy)_\w*slot|pg_replication_(slot_advance|origin_\w+)|pg_(reload_conf|rotate_logfile|switch_wal|promote|wal_replay_\w+|stat_reset\w*)|lo_(creat|create|from_bytea|put|unlink|import|export|truncate|truncate64)|lowrite|dblink_(exec|send_query))$/;

/** The first thing a transformation does that is not reading; undefined where it only reads. */
export function writingPart(template: SqlTemplate): Writing | undefined {
  if (template.kind === "SelectStmt") return findWriting(template.statement);
  const does = WRITING_KINDS[template.kind] ?? `it is no SELECT but ${template.kind.replace(/Stmt$/, "")}`;
  return { does, location: 0 };
}

function findWriting(node: unknown): Writing | undefined {
  if (node === null || typeof node !== "object") return undefined;
  for (const [kind, value] of Object.entries(node)) {
    const does = WRITING_KINDS[kind] ?? (kind === "FuncCall" ? changing(value as Node) : undefined);
    if (does !== undefined) return { does, location: locationIn(value) };
    const inside = findWriting(value);
    if (inside !== undefined) return inside;
  }
  return undefined;
}

function changing(call: Node): string | undefined {
  const names = ((call.funcname as Node[] | undefined) ?? []).map(
    (n) => (n.String as Node | undefined)?.sval,
  );
  const name = String(names.at(-1));
  const builtIn = names.length === 1 || names[0] === "pg_catalog" || name.startsWith("dblink");
  return builtIn && CHANGING_FUNCTIONS.test(name)
    ? `it calls ${name}, which changes more than its result`
    : undefined;
}

/** The first place that a part of the tree names: its own, or that of the tables and values in it. */
function locationIn(node: unknown): number | undefined {
  if (node === null || typeof node !== "object") return undefined;
  const own = (node as Node).location;
  if (typeof own === "number") return own;
  const inside = Object.values(node).map(locationIn);
  const known = inside.filter((location) => location !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
