const NUMBER = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?$/;

/** Any decimal of at most 15 significant digits survives the way through a double. */
const EXACT_DIGITS = 15;

/** The one spelling that all texts of the same number share, `-125e-2`; undefined when the text is no number. */
export function canonicalNumber(text: string): string | undefined {
  const match = NUMBER.exec(text);
  if (match === null) return undefined;
  const fraction = match[3] ?? "";
  const all = `${match[2]}${fraction}`.replace(/^0+/, "");
  const digits = withoutTrailingZeros(all);
  if (digits === "") return "0e0";
  const exponent = Number(match[4] ?? 0) - fraction.length + (all.length - digits.length);
  return `${match[1] === "-" ? "-" : ""}${digits}e${exponent}`;
}

/** Not by /0+$/, which takes a second for the 131,072 digits that a numeric may have. */
function withoutTrailingZeros(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits.charCodeAt(end - 1) === 48) end--;
  return digits.slice(0, end);
}

/** The double whose shortest text denotes the same number as `text`; undefined when there is none. */
export function exactDouble(text: string): number | undefined {
  const canonical = canonicalNumber(text);
  if (canonical === undefined) return undefined;
  const value = Number(text);
  if (text.length <= EXACT_DIGITS && !/[eE]/.test(text)) return value;
  return canonicalNumber(String(value)) === canonical ? value : undefined;
}

/** The integer that the text denotes, `12`, `12.00` and `1.2e1` alike; undefined when it has a fraction or is no number. */
export function exactInteger(text: string): number | bigint | undefined {
  const canonical = canonicalNumber(text);
  if (canonical === undefined) return undefined;
  const [digits = "", exponentText] = canonical.split("e");
  const exponent = Number(exponentText);
  if (exponent < 0 || exponent > 20) return undefined;
  const integer = `${digits}${"0".repeat(exponent)}`;
  return integer.length <= EXACT_DIGITS ? Number(integer) : BigInt(integer);
}

/**
 * The number without its decimal point, for a decimal of that many fractional digits.
 * Undefined when the number has more fractional digits than `scale`, more digits than `precision`, or is no number.
 */
export function unscaledDecimal(text: string, precision: number, scale: number): bigint | undefined {
  const canonical = canonicalNumber(text);
  if (canonical === undefined) return undefined;
  const [digits = "", exponentText] = canonical.split("e");
  if (digits === "0") return 0n;
  const zeros = Number(exponentText) + scale;
  const digitCount = digits.replace("-", "").length + zeros;
  if (zeros < 0 || digitCount > precision) return undefined;
  return BigInt(`${digits}${"0".repeat(zeros)}`);
}

const POWERS_OF_10 = Array.from({ length: EXACT_DIGITS + 1 }, (_, exponent) => 10 ** exponent);

/**
 * The same for the usual case, without detours: a short plain number whose unscaled form has at most 14 digits.
 * Undefined says nothing about other cases.
 */
export function smallUnscaledDecimal(text: string, precision: number, scale: number): number | undefined {
  const length = text.length;
  if (length > EXACT_DIGITS || length === 0) return undefined;
  const negative = text.charCodeAt(0) === 45;
  const first = negative ? 1 : 0;
  let unscaled = 0;
  let point = length;
  for (let i = first; i < length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) unscaled = unscaled * 10 + digit;
    else if (digit === -2 && point === length && i > first) point = i;
    else return undefined;
  }
  if (length === first) return undefined;
  const missing = scale - (point === length ? 0 : length - point - 1);
  if (missing < 0 || missing > EXACT_DIGITS) return undefined;
  unscaled *= POWERS_OF_10[missing] as number;
  // Less than 2^47, which is six bytes with their sign.
  if (unscaled >= 1e14 || (precision < EXACT_DIGITS && unscaled >= (POWERS_OF_10[precision] as number)))
    return undefined;
  return negative ? -unscaled : unscaled;
}

/** Writes a decimal with exactly `scale` fractional digits, as Postgres writes numeric(p, scale). */
export function decimalText(unscaled: number | bigint, scale: number): string {
  const negative = unscaled < 0;
  const digits = String(negative ? -unscaled : unscaled);
  if (scale === 0) return negative ? `-${digits}` : digits;
  const padded = digits.length > scale ? digits : digits.padStart(scale + 1, "0");
  const point = padded.length - scale;
  return `${negative ? "-" : ""}${padded.slice(0, point)}.${padded.slice(point)}`;
}

/** Avro's form of an unscaled decimal: the shortest two's complement, big end first. */
export function decimalBytes(unscaled: bigint): Buffer {
  let size = 1;
  while (BigInt.asIntN(size * 8, unscaled) !== unscaled) size++;
  const hex = BigInt.asUintN(size * 8, unscaled)
    .toString(16)
    .padStart(size * 2, "0");
  return Buffer.from(hex, "hex");
}

/** Reads Avro's form of an unscaled decimal. */
export function unscaledOfBytes(bytes: Buffer): number | bigint {
  const length = bytes.length;
  if (length > 0 && length <= 6) return bytes.readIntBE(0, length);
  return bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString("hex")}`));
}
