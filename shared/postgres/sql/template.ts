import { setFlagsFromString } from "node:v8";
import { hasSqlDetails, parse, type ScanToken, scan } from "libpg-query";
import { RejotError, type SqlPlace } from "../../errors/error.ts";
import { byteOffset, placeOfByte, placeOfIndex } from "./sql-place.ts";

// Optimizing Postgres's parser (WebAssembly, compiled at its first use) takes 600 MB and a second of CPU at every
// start, for a handful of statements: V8's first compiler is enough.
for (const flag of ["--no-wasm-tier-up", "--no-wasm-dynamic-tiering"]) setFlagsFromString(flag);

/** A node of Postgres's parse tree, as libpg-query gives it: one key, the node's kind, and its fields. */
export type Node = { readonly [kind: string]: unknown };

/** A change to the text of a template: bytes `start` to `end` of `numbered` are replaced by `text`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A team's statement with its placeholders found. */
export interface SqlTemplate {
  /** The statement as the team wrote it. */
  readonly sql: string;
  readonly style: "named" | "positional" | "none";
  /** Distinct placeholders in the order of their first use: names, or "1", "2" for positional ones. */
  readonly names: readonly string[];
  /** Every use of a placeholder, in the order of the text. */
  readonly uses: readonly PlaceholderUse[];
  /** The statement with `$1`, `$2` … for its placeholders: what was parsed, and what locations refer to (bytes). */
  readonly numbered: string;
  /** Kind of the statement, for example "SelectStmt". */
  readonly kind: string;
  /** The statement's fields in the parse tree. */
  readonly statement: Node;
  /** The placeholder that a parameter number in the parse tree stands for. */
  nameOf(parameterNumber: number): string;
  /** The statement with every placeholder replaced, and further edits made. */
  render(placeholder: (name: string) => string, edits?: readonly Edit[]): string;
  /** The same, knowing where each of its characters comes from. */
  renderMapped(placeholder: (name: string) => string, edits?: readonly Edit[]): RenderedSql;
  /** The place in the team's statement of a byte in `numbered`, as the parse tree's locations count. */
  placeOf(location: number): SqlPlace;
}

/** A statement made of a template. */
export interface RenderedSql {
  readonly text: string;
  /** The place in the team's statement of a character of `text`, counted from one as Postgres' errors do. */
  placeOf(position: number): SqlPlace;
}

/** One use of a placeholder. */
export interface PlaceholderUse {
  /** As in `names`. */
  readonly name: string;
  /** As it is written: `:email`, `$1`. */
  readonly text: string;
  /** Where it begins in `sql`: characters, from zero. */
  readonly index: number;
}

interface Placeholder extends Edit {
  readonly name: string;
}

/**
 * Finds the placeholders of a statement with Postgres's own scanner and parses it with Postgres's own grammar.
 * A `:` directly followed by an identifier is a placeholder, except inside strings and comments (the scanner
 * knows), casts (`::` is one token) and array subscripts, where it separates the bounds of a slice.
 * Throws SQL_DOES_NOT_PARSE, SQL_NOT_ONE_STATEMENT or SQL_PLACEHOLDERS_MIXED.
 */
export async function parseTemplate(sql: string): Promise<SqlTemplate> {
  const tokens = withoutEnd(await scanTokens(sql));
  if (tokens.length === 0) throw new RejotError("SQL_NOT_ONE_STATEMENT", { detail: "the text is empty" });
  const source = Buffer.from(sql).subarray(0, tokens.at(-1)?.end ?? 0);
  const named = namedPlaceholders(tokens);
  const positional = tokens.filter((token) => token.tokenName === "PARAM");
  if (named.length > 0 && positional.length > 0) {
    throw new RejotError("SQL_PLACEHOLDERS_MIXED", {
      detail: `:${named[0]?.name} and ${positional[0]?.text} in ${sql}`,
    });
  }
  const names = [...new Set(named.map((p) => p.name))];
  const numberedEdits = named.map((p) => ({ ...p, text: `$${names.indexOf(p.name) + 1}` }));
  const numbered = applyEdits(source, numberedEdits);
  const { kind, statement } = await parseOne(numbered.toString(), sql, (offset) =>
    originOf(numberedEdits, offset),
  );

  const places = placesInNumbered(named, numberedEdits, positional);
  const placeOf = (location: number) => placeOfByte(sql, originOf(numberedEdits, location));
  const renderMapped: SqlTemplate["renderMapped"] = (placeholder, edits = []) => {
    const all = [...places.map((p) => ({ ...p, text: placeholder(p.name) })), ...edits];
    const text = applyEdits(numbered, all).toString();
    return { text, placeOf: (position) => placeOf(originOf(all, byteOffset(text, position - 1))) };
  };
  const positionalNames = [...new Set(places.map((p) => p.name))];
  return {
    sql,
    style: named.length > 0 ? "named" : positional.length > 0 ? "positional" : "none",
    names: named.length > 0 ? names : positionalNames,
    uses: [
      ...named.map((p) => ({ name: p.name, text: `:${p.name}`, index: characters(source, p.start) })),
      ...positional.map((t) => ({
        name: t.text.slice(1),
        text: t.text,
        index: characters(source, t.start),
      })),
    ],
    numbered: numbered.toString(),
    kind,
    statement,
    nameOf: (parameterNumber) =>
      named.length > 0 ? (names[parameterNumber - 1] ?? String(parameterNumber)) : String(parameterNumber),
    render: (placeholder, edits) => renderMapped(placeholder, edits).text,
    renderMapped,
    placeOf,
  };
}

/** The tokens of a statement, as Postgres's own scanner cuts it; positions are bytes. Throws SQL_DOES_NOT_PARSE. */
export async function scanTokens(sql: string): Promise<ScanToken[]> {
  if (sql.trim() === "") return [];
  try {
    return (await scan(sql)).tokens;
  } catch (cause) {
    // The scanner's own message arrives mangled. The parser gives the same with a position, once the placeholders'
    // colons, which it does not know, are out of its way.
    const error = await parse(sql.replaceAll(/(?<!:):(?=[\p{L}_])/gu, " ")).catch((e: unknown) => e);
    throw notParsed(sql, hasSqlDetails(error) ? error : cause, (offset) => offset);
  }
}

/** `origin` tells which byte of the team's statement a byte of the parsed text comes from. */
function notParsed(sql: string, cause: unknown, origin: (offset: number) => number, text = sql): RejotError {
  if (!hasSqlDetails(cause)) {
    return new RejotError("SQL_DOES_NOT_PARSE", { detail: `${messageOf(cause)} in: ${sql}`, cause });
  }
  const { message, cursorPosition } = cause.sqlDetails ?? { message: cause.message, cursorPosition: 0 };
  const place = placeOfByte(sql, origin(byteOffset(text, cursorPosition)));
  return new RejotError("SQL_DOES_NOT_PARSE", { detail: message, cause, sql: place });
}

/** The byte of the text before the edits that a byte after them comes from. */
function originOf(edits: readonly Edit[], offset: number): number {
  let shift = 0;
  for (const edit of [...edits].sort((a, b) => a.start - b.start)) {
    const length = Buffer.byteLength(edit.text);
    if (offset < edit.start + shift) break;
    if (offset < edit.start + shift + length) return edit.start;
    shift += length - (edit.end - edit.start);
  }
  return offset - shift;
}

/** Where a placeholder is used first. */
export function placeOfPlaceholder(template: SqlTemplate, name: string): SqlPlace | undefined {
  const use = template.uses.find((candidate) => candidate.name === name);
  return use === undefined ? undefined : placeOfIndex(template.sql, use.index);
}

/**
 * The bytes of `numbered` that a possibly qualified name takes, beginning at `location`.
 * The parse tree tells where a name begins, not where it ends.
 */
export async function nameRange(
  template: SqlTemplate,
  location: number,
): Promise<{ start: number; end: number }> {
  const tokens = await scanTokens(template.numbered);
  let i = tokens.findIndex((token) => token.start === location);
  while (tokens[i + 1]?.text === ".") i += 2;
  return { start: location, end: tokens[i]?.end ?? location };
}

/** The scanner counts bytes, JavaScript characters. */
function characters(source: Buffer, bytes: number): number {
  return source.subarray(0, bytes).toString().length;
}

/** Cuts trailing comments and semicolons, which would not survive being put into brackets. */
function withoutEnd(tokens: readonly ScanToken[]): ScanToken[] {
  const end = tokens.findLastIndex((token) => token.text !== ";" && !token.tokenName.endsWith("COMMENT"));
  return tokens.slice(0, end + 1);
}

function namedPlaceholders(tokens: readonly ScanToken[]): Placeholder[] {
  const found: Placeholder[] = [];
  const brackets: ("subscript" | "array" | "paren")[] = [];
  for (const [i, token] of tokens.entries()) {
    if (token.text === "[")
      brackets.push(opensSubscript(tokens[i - 1], brackets.at(-1)) ? "subscript" : "array");
    else if (token.text === "(") brackets.push("paren");
    else if (token.text === "]" || token.text === ")") brackets.pop();
    const next = tokens[i + 1];
    if (token.text !== ":" || next === undefined || next.start !== token.end) continue;
    if (!/^[\p{L}_][\p{L}\p{N}_$]*$/u.test(next.text) || brackets.at(-1) === "subscript") continue;
    found.push({ start: token.start, end: next.end, text: "", name: next.text });
  }
  return found;
}

/** `ARRAY[` and the rows inside it construct; every other `[` follows a value and takes a part of it. */
function opensSubscript(before: ScanToken | undefined, around: string | undefined): boolean {
  if (before === undefined || before.text.toLowerCase() === "array") return false;
  return !((before.text === "[" || before.text === ",") && around === "array");
}

function placesInNumbered(
  named: readonly Placeholder[],
  edits: readonly Edit[],
  positional: readonly ScanToken[],
): Placeholder[] {
  if (named.length === 0) {
    return positional.map((t) => ({ start: t.start, end: t.end, text: "", name: t.text.slice(1) }));
  }
  let shift = 0;
  return named.map((p, i) => {
    const length = edits[i]?.text.length ?? 0;
    const start = p.start + shift;
    shift += length - (p.end - p.start);
    return { start, end: start + length, text: "", name: p.name };
  });
}

function applyEdits(source: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const edit of [...edits].sort((a, b) => a.start - b.start)) {
    parts.push(source.subarray(at, edit.start), Buffer.from(edit.text));
    at = edit.end;
  }
  parts.push(source.subarray(at));
  return Buffer.concat(parts);
}

async function parseOne(
  numbered: string,
  sql: string,
  origin: (offset: number) => number,
): Promise<{ kind: string; statement: Node }> {
  let statements: readonly { stmt?: Node; stmt_location?: number }[];
  try {
    statements = (await parse(numbered)).stmts as readonly { stmt?: Node; stmt_location?: number }[];
  } catch (cause) {
    throw notParsed(sql, cause, origin, numbered);
  }
  const stmt = statements[0]?.stmt;
  if (statements.length !== 1 || stmt === undefined) {
    const second = Buffer.from(numbered)
      .subarray(statements[1]?.stmt_location ?? 0)
      .toString();
    const start = (statements[1]?.stmt_location ?? 0) + second.search(/\S|$/);
    const place = statements.length > 1 ? placeOfByte(sql, origin(start)) : undefined;
    throw new RejotError("SQL_NOT_ONE_STATEMENT", { detail: `there are ${statements.length}`, sql: place });
  }
  const [kind, statement] = Object.entries(stmt)[0] as [string, Node];
  return { kind, statement };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
