import fc from "fast-check";
import {
  booleans,
  commonTimestamps,
  dates,
  decimals,
  doubles,
  finiteDoubles,
  integers,
  type Literals,
  numerics,
  texts,
} from "./postgres-values.ts";

const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;

interface ArrayShape {
  readonly dimensions?: number;
  /** Whether elements may be NULL; default yes. */
  readonly nulls?: boolean;
  readonly delimiter?: string;
}

/** Array literals of so many dimensions, each with the same length throughout; `{}` too. */
export function arrays(elements: Literals, shape: ArrayShape = {}): Literals {
  const { dimensions = 1, nulls = true, delimiter = "," } = shape;
  const element = nulls ? fc.option(elements, { freq: 5 }) : elements;
  const lengths = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: dimensions, maxLength: dimensions });
  const full = lengths.chain((sizes) => {
    const count = sizes.reduce((product, size) => product * size, 1);
    return fc.array(element, { minLength: count, maxLength: count }).map((flat) => {
      let parts = flat.map((each) => (each === null ? "NULL" : quoted(each)));
      for (const size of sizes.toReversed()) {
        const groups = Array.from({ length: parts.length / size }, (_, i) =>
          parts.slice(i * size, (i + 1) * size),
        );
        parts = groups.map((group) => `{${group.join(delimiter)}}`);
      }
      return parts[0] as string;
    });
  });
  return fc.oneof({ weight: 6, arbitrary: full }, { weight: 1, arbitrary: fc.constant("{}") });
}

/** Arrays of any number of dimensions, some with lower bounds of their own. */
export function anyArrays(elements: Literals): Literals {
  const shifted = fc
    .tuple(arrays(elements, { dimensions: 1 }), fc.integer({ min: -3, max: 3 }))
    .filter(([text]) => text !== "{}")
    .chain(([, from]) =>
      fc.array(elements, { minLength: 1, maxLength: 3 }).map((list) => {
        return `[${from}:${from + list.length - 1}]={${list.map(quoted).join(",")}}`;
      }),
    );
  return fc.oneof(shifted, ...[1, 2, 3, 6].map((dimensions) => arrays(elements, { dimensions })));
}

/** Composite literals with a literal or NULL for each attribute. */
export function composites(...attributes: Literals[]): Literals {
  return fc
    .tuple(...attributes.map((each) => fc.option(each, { freq: 4 })))
    .map((list) => `(${list.map((each) => (each === null ? "" : quoted(each))).join(",")})`);
}

/** Range literals; `ordered` compares two bounds. */
export function ranges(bounds: Literals, ordered: (a: string, b: string) => boolean): Literals {
  const bound = fc.option(bounds, { freq: 5 });
  const random = fc
    .tuple(fc.constantFrom("[", "("), bound, bound, fc.constantFrom("]", ")"))
    .map(([open, a, b, close]) => {
      const swap = a !== null && b !== null && !ordered(a, b);
      const [low, high] = swap ? [b, a] : [a, b];
      return `${open}${low === null ? "" : quoted(low)},${high === null ? "" : quoted(high)}${close}`;
    });
  return fc.oneof({ weight: 6, arbitrary: random }, { weight: 1, arbitrary: fc.constant("empty") });
}

export function multiranges(members: Literals): Literals {
  const list = fc.array(
    members.filter((each) => each !== "empty"),
    { maxLength: 4 },
  );
  return list.map((each) => `{${each.join(",")}}`);
}

export const numbersInOrder = (a: string, b: string): boolean => Number(a) <= Number(b);
export const bigintsInOrder = (a: string, b: string): boolean => BigInt(a) <= BigInt(b);
/** Of texts with the same number of fractional digits. */
export const decimalsInOrder = (a: string, b: string): boolean =>
  BigInt(a.replace(".", "")) <= BigInt(b.replace(".", ""));
export const textsInOrder = (a: string, b: string): boolean =>
  a.length < b.length || (a.length === b.length && a <= b);
/** Bounds that text order puts in the order of time. */
export const timestampBounds: Literals = commonTimestamps.filter((text) => /^\d{4}-/.test(text));
export const dateBounds: Literals = dates.filter((text) => /^\d{4}-[\d-]+$/.test(text));

export const inets: Literals = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([ip, bits]) => `${ip}/${bits}`),
  fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([ip, bits]) => `${ip}/${bits}`),
  fc.constantFrom("0.0.0.0", "::", "::ffff:1.2.3.4", "255.255.255.255/32"),
);
export const cidrs: Literals = fc.oneof(
  fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `${a}.${b}.0.0/16`),
  fc.nat(0xffff).map((group) => `2001:${group.toString(16)}::/32`),
  fc.constantFrom("0.0.0.0/0", "::/0", "10.0.0.1/32"),
);

export function macaddrs(bytes: number): Literals {
  return fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((list) => [...list].map((byte) => byte.toString(16).padStart(2, "0")).join(":"));
}

export function bits(min: number, max: number): Literals {
  return fc.string({ unit: fc.constantFrom("0", "1"), minLength: min, maxLength: max });
}

const coordinates = doubles;
const point = fc.tuple(coordinates, coordinates).map(([x, y]) => `(${x},${y})`);
const points = (min: number): Literals =>
  fc.array(point, { minLength: min, maxLength: 4 }).map((list) => list.join(","));

/** Literals of the geometric types, by type. */
export const geometry = {
  point,
  line: fc
    .tuple(finiteDoubles, finiteDoubles, finiteDoubles)
    .filter(([a, b]) => Math.abs(Number(a)) > 1e-5 || Math.abs(Number(b)) > 1e-5)
    .map((list) => `{${list.join(",")}}`),
  lseg: fc.tuple(point, point).map((list) => `[${list.join(",")}]`),
  box: fc.tuple(point, point).map((list) => list.join(",")),
  path: fc.oneof(
    points(1).map((list) => `[${list}]`),
    points(1).map((list) => `(${list})`),
  ),
  polygon: points(1).map((list) => `(${list})`),
  circle: fc
    .tuple(
      point,
      finiteDoubles.filter((text) => !text.startsWith("-")),
    )
    .map(([center, radius]) => `<${center},${radius}>`),
} as const;

const lexeme = texts(20).filter((text) => text !== "");
const lexemeLiteral = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

export const tsvectors: Literals = fc
  .array(fc.tuple(lexeme, fc.array(fc.integer({ min: 1, max: 16383 }), { maxLength: 3 })), { maxLength: 4 })
  .map((list) =>
    list
      .map(
        ([word, places]) =>
          `${lexemeLiteral(word)}${places.length > 0 ? `:${places.map((p) => `${p}A`).join(",")}` : ""}`,
      )
      .join(" "),
  );

export const tsqueries: Literals = fc
  .array(fc.tuple(sign(), lexeme, fc.constantFrom("", ":*", ":AB", ":*C")), { minLength: 1, maxLength: 4 })
  .map((list) => list.map(([not, word, weight]) => `${not}${lexemeLiteral(word)}${weight}`))
  .chain((list) => fc.constantFrom(" & ", " | ", " <-> ", " <5> ").map((operator) => list.join(operator)));

function sign(): fc.Arbitrary<string> {
  return fc.constantFrom("", "!");
}

const xmlText = texts(20).map((text) =>
  [...text]
    .filter((each) => /^[\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]$/u.test(each))
    .join("")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;"),
);
export const xmls: Literals = fc.oneof(
  xmlText,
  xmlText.map((text) => `<a b="${text.replaceAll('"', "&quot;")}">${text}<c/></a><!-- two --><d/>`),
  fc.constantFrom(
    "",
    " ",
    "<a/>",
    '<?xml version="1.0" standalone="yes"?><a/>',
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "<a><![CDATA[<&]]></a>",
    "<?target data?><a/>",
    "\n<a>\n</a>\n",
  ),
);

const pair = fc.tuple(texts(15), fc.option(texts(15), { freq: 4 }));
export const hstores: Literals = fc
  .array(pair, { maxLength: 4 })
  .map((list) =>
    list.map(([key, value]) => `${quoted(key)}=>${value === null ? "NULL" : quoted(value)}`).join(","),
  );

const jsonNumber: Literals = fc.oneof(
  integers(64),
  fc.oneof(numerics, decimals(30, 10)).filter((text) => /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/.test(text)),
  finiteDoubles,
);
/** Texts as JSON spells them, with escapes that need not be. */
const jsonString: Literals = fc.oneof(
  texts(15).map((text) => JSON.stringify(text)),
  texts(5).map((text) => `"${[...text].map((c) => c.split("").map(escaped).join("")).join("")}"`),
);
const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** JSON texts with spaces and numbers of any size. */
export const jsons: Literals = fc.letrec<{ value: string; scalar: string }>((tie) => ({
  scalar: fc.oneof(
    jsonNumber,
    jsonString,
    fc.constantFrom("null", "true", "false", "-0", "1.50", "1e3", "[]", "{}"),
  ),
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie("scalar"),
    fc.array(tie("value"), { maxLength: 3 }).map((list) => `[${list.join(" , ")}]`),
    fc
      .array(fc.tuple(jsonString, tie("value")), { maxLength: 3 })
      .map((list) => `{ ${list.map(([name, value]) => `${name}: ${value}`).join(",")} }`),
  ),
})).value;

/** A JSON object of the fields given, each with its literal as JSON; all others are left out. */
export function jsonObjects(fields: Record<string, Literals>): Literals {
  return fc.record(fields).map(
    (record) =>
      `{${Object.entries(record)
        .map(([name, text]) => `${JSON.stringify(name)}:${text}`)
        .join(",")}}`,
  );
}

export const jsonTexts: Literals = texts(20).map((text) => JSON.stringify(text));
export const jsonBooleans: Literals = booleans.map((text) => (text === "t" ? "true" : "false"));
