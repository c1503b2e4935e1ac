const NEEDS_ESCAPE = /["\\]/;
const ESCAPED = /["\\]/g;

/**
 * Writes a Postgres array literal of text values. node-pg's own writer runs two regular expressions over every
 * value, whether it needs them or not; that was a tenth of the source's time and a fifth of the sink's.
 */
export function textArrayLiteral(values: readonly (string | null)[]): string {
  let literal = "{";
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (i > 0) literal += ",";
    if (value === null || value === undefined) literal += "NULL";
    else if (NEEDS_ESCAPE.test(value)) literal += `"${value.replace(ESCAPED, "\\$&")}"`;
    else literal += `"${value}"`;
  }
  return `${literal}}`;
}

/** Writes a Postgres array literal of integers. */
export function integerArrayLiteral(values: readonly number[]): string {
  return `{${values.join(",")}}`;
}
