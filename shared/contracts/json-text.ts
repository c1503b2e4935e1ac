/**
 * Takes JSON text apart without parsing numbers, so that none is rounded: a member's or element's own text is handed
 * on as it stands. The text comes from Postgres' json and jsonb, so it is known to be valid JSON.
 */

const SPACE = 32;
const QUOTE = 34;
const BACKSLASH = 92;

function skipSpace(text: string, at: number): number {
  let i = at;
  for (;;) {
    const code = text.charCodeAt(i);
    if (code !== SPACE && code !== 10 && code !== 13 && code !== 9) return i;
    i++;
  }
}

/** The index after the string that begins at `at`. */
function skipString(text: string, at: number): number {
  let end = text.indexOf('"', at + 1);
  for (;;) {
    if (end === -1) throw new SyntaxError("unterminated JSON string");
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end + 1;
    end = text.indexOf('"', end + 1);
  }
}

/** The index after the value that begins at `at`. */
function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return skipString(text, at);
  if (first !== 123 && first !== 91) {
    let i = at;
    while (i < text.length && !isDelimiter(text.charCodeAt(i))) i++;
    return i;
  }
  let depth = 0;
  let i = at;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      i = skipString(text, i);
      continue;
    }
    i++;
    if (code === 123 || code === 91) depth++;
    else if ((code === 125 || code === 93) && --depth === 0) return i;
  }
  throw new SyntaxError("unterminated JSON value");
}

function isDelimiter(code: number): boolean {
  return (
    code === 44 || code === 125 || code === 93 || code === SPACE || code === 10 || code === 13 || code === 9
  );
}

/** What kind of value a JSON text is. */
export type JsonKind = "null" | "boolean" | "number" | "string" | "array" | "object";

/** The kind of the value, told from its first character. */
export function jsonKind(text: string): JsonKind {
  switch (text[0]) {
    case "{":
      return "object";
    case "[":
      return "array";
    case '"':
      return "string";
    case "t":
    case "f":
      return "boolean";
    case "n":
      return "null";
    default:
      return "number";
  }
}

/** The text of every member's value; of a name that stands twice the last counts, as in jsonb. */
export function jsonMembers(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = skipSpace(text, 1);
  while (text[at] !== "}") {
    const nameEnd = skipString(text, at);
    const name = jsonString(text.slice(at, nameEnd));
    at = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, at);
    members.set(name, text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
    else if (text[at] !== "}") throw new SyntaxError("malformed JSON object");
  }
  return members;
}

/** The text of every element. */
export function jsonElements(text: string): string[] {
  const elements: string[] = [];
  let at = skipSpace(text, 1);
  while (text[at] !== "]") {
    const end = skipValue(text, at);
    elements.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
    else if (text[at] !== "]") throw new SyntaxError("malformed JSON array");
  }
  return elements;
}

/** The string that a JSON string's text stands for. */
export function jsonString(text: string): string {
  return text.includes("\\") ? (JSON.parse(text) as string) : text.slice(1, -1);
}

/**
 * The value that a JSON text stands for; `number` makes one of a number's text. Unlike JSON.parse of Node 24 it gets
 * member names right: there, once `{"x":1,"\\":1}` was parsed, `{"x":1,"\"":1}` comes out with the name of the former.
 */
export function jsonValue(text: string, number: (text: string) => unknown): unknown {
  switch (jsonKind(text)) {
    case "object":
      return Object.fromEntries(
        [...jsonMembers(text)].map(([name, member]) => [name, jsonValue(member, number)]),
      );
    case "array":
      return jsonElements(text).map((element) => jsonValue(element, number));
    case "string":
      return jsonString(text);
    case "number":
      return number(text);
    case "boolean":
      return text === "true";
    default:
      return null;
  }
}
