/** Where a text stops being JSON. Line and column count from one. */
export interface SyntaxPosition {
  line: number;
  column: number;
  /** What is wrong there, as the end of a sentence. */
  problem: string;
}

class SyntaxStop extends Error {
  readonly at: number;
  constructor(at: number, problem: string) {
    super(problem);
    this.at = at;
  }
}

/**
 * Finds the first syntax error of a text that `JSON.parse` refused; undefined when there is none.
 * V8's own message leaves the position out for most mistakes, and a manifest has hundreds of lines.
 */
export function findJsonSyntaxError(text: string): SyntaxPosition | undefined {
  try {
    const end = skipSpace(text, readValue(text, skipSpace(text, 0)));
    if (end < text.length) throw new SyntaxStop(end, "something follows the end of the document");
    return undefined;
  } catch (error) {
    if (!(error instanceof SyntaxStop)) throw error;
    const before = text.slice(0, error.at);
    const line = before.split("\n").length;
    return { line, column: error.at - before.lastIndexOf("\n"), problem: error.message };
  }
}

/**
 * Where a value stands in a text that is JSON: `["connections", 0, "slug"]`. Where the path leads nowhere, the last
 * value on the way that exists; undefined for a text that is not JSON.
 */
export function findJsonValue(
  text: string,
  path: readonly (string | number)[],
): { line: number; column: number } | undefined {
  try {
    let at = skipSpace(text, 0);
    for (const step of path) {
      const next = childAt(text, at, step);
      if (next === undefined) break;
      at = next;
    }
    const before = text.slice(0, at);
    return { line: before.split("\n").length, column: at - before.lastIndexOf("\n") };
  } catch (error) {
    if (error instanceof SyntaxStop) return undefined;
    throw error;
  }
}

/** Where an element or a member's value begins. As JSON.parse does, the last of several members of one name wins. */
function childAt(text: string, start: number, step: string | number): number | undefined {
  const isArray = text[start] === "[";
  if (isArray !== (typeof step === "number") || (!isArray && text[start] !== "{")) return undefined;
  const close = isArray ? "]" : "}";
  let found: number | undefined;
  let at = skipSpace(text, start + 1);
  for (let index = 0; text[at] !== close; index++) {
    const value = isArray ? at : skipSpace(text, skipSpace(text, readString(text, at)) + 1);
    const name = isArray ? index : (JSON.parse(text.slice(at, readString(text, at))) as string);
    if (name === step) found = value;
    at = skipSpace(text, readValue(text, value));
    if (text[at] === ",") at = skipSpace(text, at + 1);
    else if (text[at] !== close) throw new SyntaxStop(at, `"," or "${close}" is expected`);
  }
  return found;
}

const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/uy;
const LITERAL = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;

function matchAt(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return match === null ? undefined : at + match[0].length;
}

function skipSpace(text: string, at: number): number {
  return matchAt(SPACE, text, at) ?? at;
}

function readValue(text: string, at: number): number {
  const first = text[at];
  if (first === undefined) throw new SyntaxStop(at, "the document ends too early");
  if (first === "{") return readItems(text, at, "}", readMember);
  if (first === "[") return readItems(text, at, "]", readValue);
  if (first === '"') return readString(text, at);
  const end = matchAt(LITERAL, text, at);
  if (end !== undefined) return end;
  if (first === "/") throw new SyntaxStop(at, "JSON has no comments");
  if (first === "'") throw new SyntaxStop(at, "strings stand in double quotes");
  throw new SyntaxStop(at, `a value is expected, not "${first}"`);
}

function readString(text: string, at: number): number {
  const end = matchAt(STRING, text, at);
  if (end === undefined) throw new SyntaxStop(at, "this string is not closed or holds a wrong escape");
  return end;
}

function readMember(text: string, at: number): number {
  if (text[at] !== '"') throw new SyntaxStop(at, "a name in double quotes is expected");
  const colon = skipSpace(text, readString(text, at));
  if (text[colon] !== ":") throw new SyntaxStop(colon, '":" is expected after the name');
  return readValue(text, skipSpace(text, colon + 1));
}

function readItems(
  text: string,
  start: number,
  close: string,
  readItem: (text: string, at: number) => number,
): number {
  let at = skipSpace(text, start + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    at = skipSpace(text, readItem(text, at));
    if (text[at] === close) return at + 1;
    if (text[at] === undefined) throw new SyntaxStop(at, `the document ends before "${close}"`);
    if (text[at] !== ",") throw new SyntaxStop(at, `"," or "${close}" is expected`);
    const comma = at;
    at = skipSpace(text, at + 1);
    if (text[at] === close) throw new SyntaxStop(comma, `a trailing comma before "${close}"`);
  }
}
