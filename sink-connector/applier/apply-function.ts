import type { SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { type ParameterShape, returnsRows } from "./statements.ts";

/** The SQLSTATE by which the function says that the progress is not where the caller believes it to be. */
export const STALE_PROGRESS_STATE = "RJ001";

/** Prefix of the notice that names the failing call (from 0); the error itself follows unchanged. */
const CALL_NOTICE = "rejot-call ";

/** What the function's text is made of, for one statement. */
export interface FunctionStatement {
  readonly template: SqlTemplate;
  readonly shape: ParameterShape;
  /** The server's type of each parameter. */
  readonly castTypes: readonly string[];
  /** The same types, without domains: a variable cannot be of a domain that is NOT NULL before it has a value. */
  readonly variableTypes: readonly string[];
  /** The server does not take it now, so that it is never called; its types may be gone. */
  readonly isRejected?: boolean;
}

/** The one call per batch; parameters are group, the progress moves as seven arrays, statements, values. */
export const APPLY_CALL =
  "SELECT pg_temp._rejot_apply($1::text,$2::text[],$3::int[],$4::bigint[],$5::text[],$6::bigint[],$7::text[],$8::text[],$9::int[],$10::text[])";

/**
 * The text of the function that applies a batch in one round trip: it moves the guarded progress, then runs each
 * call's statement as the team wrote it, with variables for its placeholders, which take their values from one array
 * of texts. Names begin with `_rejot_` and columns win over variables, so that no name can collide.
 */
export function applyFunctionSql(statements: readonly FunctionStatement[]): string {
  const branches = statements.map(branch);
  const tag = quoteTag(branches.join(""));
  const body = branches.length === 1 ? branches[0] : caseOf(branches);
  return `CREATE OR REPLACE FUNCTION pg_temp._rejot_apply(
  _rejot_group text, _rejot_topics text[], _rejot_partitions int[], _rejot_expected bigint[],
  _rejot_expected_consumers text[], _rejot_next bigint[], _rejot_next_consumers text[], _rejot_positions text[],
  _rejot_calls int[], _rejot_values text[]
) RETURNS void LANGUAGE plpgsql AS ${tag}
#variable_conflict use_column
DECLARE
  _rejot_at int := 0; _rejot_base int := 0; _rejot_moved int; _rejot_call int; _rejot_row record;
  ${statements.map(declarations).join("\n  ")}
BEGIN
  ${moveProgressSql({
    group: "_rejot_group",
    topics: "_rejot_topics",
    partitions: "_rejot_partitions",
    expected: "_rejot_expected",
    expectedConsumers: "_rejot_expected_consumers",
    next: "_rejot_next",
    nextConsumers: "_rejot_next_consumers",
    positions: "_rejot_positions",
  })};
  GET DIAGNOSTICS _rejot_moved = ROW_COUNT;
  IF _rejot_moved <> cardinality(_rejot_topics) THEN
    RAISE EXCEPTION 'progress is elsewhere' USING ERRCODE = '${STALE_PROGRESS_STATE}';
  END IF;
  BEGIN
    FOREACH _rejot_call IN ARRAY _rejot_calls LOOP
      _rejot_at := _rejot_at + 1;
${body}
    END LOOP;
  EXCEPTION WHEN OTHERS THEN
    RAISE INFO '${CALL_NOTICE}%', _rejot_at - 1;
    RAISE;
  END;
END ${tag}`;
}

/** The call that a notice names, or undefined when the notice is something else. */
export function failedCall(notice: string): number | undefined {
  return notice.startsWith(CALL_NOTICE) ? Number(notice.slice(CALL_NOTICE.length)) : undefined;
}

/** Moves progress rows, each only if it is where the caller expects it: the count tells whether all were. */
export function moveProgressSql(names: {
  group: string;
  topics: string;
  partitions: string;
  expected: string;
  expectedConsumers: string;
  next: string;
  nextConsumers: string;
  positions: string;
}): string {
  const { topics, partitions, expected, expectedConsumers, next, nextConsumers, positions } = names;
  return `UPDATE rejot.progress AS _rejot_p
    SET next_offset = _rejot_m.next_offset, consumers = _rejot_m.consumers::jsonb,
        position = coalesce(_rejot_m.pos, _rejot_p.position), updated_at = pg_catalog.clock_timestamp()
    FROM unnest(${[topics, partitions, expected, expectedConsumers, next, nextConsumers, positions].join(", ")})
      AS _rejot_m(topic, part, expected, expected_consumers, next_offset, consumers, pos)
    WHERE _rejot_p.consumer_group = ${names.group} AND _rejot_p.topic = _rejot_m.topic
      AND _rejot_p.partition = _rejot_m.part AND _rejot_p.next_offset = _rejot_m.expected
      AND _rejot_p.consumers IS NOT DISTINCT FROM _rejot_m.expected_consumers::jsonb`;
}

/** A statement with what comes before and after it; its parameters are variables, so that each is cast once. */
function branch(part: FunctionStatement, statement: number): string {
  if (part.isRejected === true) return "RAISE EXCEPTION 'rejected';";
  const { template, shape, castTypes, variableTypes } = part;
  const sql = shape.render((index) => {
    const value = variable(statement, index);
    return castTypes[index] === variableTypes[index] ? `(${value})` : `(${value}::${castTypes[index]})`;
  });
  const assignments = variableTypes.map(
    (type, i) => `${variable(statement, i)} := (_rejot_values[_rejot_base + ${i + 1}])::${type};`,
  );
  // The line breaks end a comment that the statement may end with.
  const run = returnsRows(template) ? `FOR _rejot_row IN\n${sql}\n LOOP END LOOP;` : `${sql}\n;`;
  const advance = castTypes.length === 0 ? [] : [`_rejot_base := _rejot_base + ${castTypes.length};`];
  return [...assignments, ...advance, run].join("\n");
}

function declarations({ variableTypes, isRejected }: FunctionStatement, statement: number): string {
  if (isRejected === true) return "";
  return variableTypes.map((type, i) => `${variable(statement, i)} ${type};`).join(" ");
}

function variable(statement: number, index: number): string {
  return `_rejot_v${statement}_${index + 1}`;
}

function caseOf(branches: readonly string[]): string {
  const whens = branches.map((text, i) => `WHEN ${i} THEN\n${text}`).join("\n");
  return `CASE _rejot_call\n${whens}\nEND CASE;`;
}

/** A dollar quote that the text does not contain. */
function quoteTag(text: string): string {
  for (let i = 0; ; i++) {
    const tag = `$rejot${i}$`;
    if (!text.includes(tag)) return tag;
  }
}
