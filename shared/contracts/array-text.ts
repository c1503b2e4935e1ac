/** The elements of a Postgres array literal: text, NULL, or, in an array of more dimensions, an array again. */
export type ArrayText = (string | null | ArrayText)[];

/**
 * Reads a Postgres array literal. Undefined when it is malformed or has lower bounds of its own
 * (`[0:1]={...}`), which an Avro array cannot carry.
 */
export function parseArrayText(text: string, delimiter = ","): ArrayText | undefined {
  if (text === "{}") return [];
  const parser = new ArrayParser(text, delimiter);
  return parser.parse();
}

class ArrayParser {
  private at = 0;
  private readonly text: string;
  private readonly delimiter: string;

  constructor(text: string, delimiter: string) {
    this.text = text;
    this.delimiter = delimiter;
  }

  parse(): ArrayText | undefined {
    const array = this.array();
    return this.at === this.text.length ? array : undefined;
  }

  private array(): ArrayText | undefined {
    if (this.text[this.at] !== "{") return undefined;
    this.at++;
    const elements: ArrayText = [];
    if (this.text[this.at] === "}") {
      this.at++;
      return elements;
    }
    for (;;) {
      const element = this.element();
      if (element === undefined) return undefined;
      elements.push(element);
      const next = this.text[this.at++];
      if (next === "}") return elements;
      if (next !== this.delimiter) return undefined;
    }
  }

  private element(): string | null | ArrayText | undefined {
    const first = this.text[this.at];
    if (first === "{") return this.array();
    if (first === '"') return this.quoted();
    const start = this.at;
    while (this.at < this.text.length) {
      const char = this.text[this.at];
      if (char === this.delimiter || char === "}") break;
      if (char === '"' || char === "{" || char === "\\") return undefined;
      this.at++;
    }
    const bare = this.text.slice(start, this.at);
    if (bare === "") return undefined;
    return bare === "NULL" ? null : bare;
  }

  private quoted(): string | undefined {
    let result = "";
    let start = ++this.at;
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code === 34) {
        result += this.text.slice(start, this.at++);
        return result;
      }
      if (code === 92) {
        result += this.text.slice(start, this.at);
        start = ++this.at;
      }
      this.at++;
    }
    return undefined;
  }
}

const PLAIN = /^[A-Za-z0-9_.:+-]+$/;

/** Writes one element of a Postgres array literal; `{` and `}` around, and delimiters between, are the caller's. */
export function arrayElementText(element: string | null): string {
  if (element === null) return "NULL";
  if (PLAIN.test(element) && element.toUpperCase() !== "NULL") return element;
  return `"${element.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
