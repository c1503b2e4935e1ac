const SECONDS_A_DAY = 86_400;
const MICROS_A_SECOND = 1_000_000;
/** Below this many seconds from 1970, microseconds are safe integers. */
const SAFE_SECONDS = 9_000_000_000;
const MAX_INT64 = 2n ** 63n - 1n;

const DATE = /^(\d{4,7})-(\d\d)-(\d\d)$/;
const TIME = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?$/;
const TIMESTAMP =
  /^(\d{4,7})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(?:(Z)|([+-])(\d\d)(?::?(\d\d)(?::?(\d\d))?)?)?$/;

/** Days from 1970-01-01 of a date of the Gregorian calendar. */
function daysOfDate(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function validDate(year: number, month: number, day: number): boolean {
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  if (day <= 28) return true;
  if (month === 2) return day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= (month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31);
}

function fractionMicros(digits: string | undefined): number {
  return digits === undefined ? 0 : Number(digits.padEnd(6, "0"));
}

/** Days from 1970-01-01 of `2024-02-29`; undefined for infinity, BC and what is no date. */
export function parseDate(text: string): number | undefined {
  const match = DATE.exec(text);
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (!validDate(year, month, day)) return undefined;
  const days = daysOfDate(year, month, day);
  return days <= 0x7fffffff ? days : undefined;
}

/** Microseconds from midnight of `23:59:59.999999`; undefined for 24:00 and what is no time of day. */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [hour, minute, second] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  return ((hour * 60 + minute) * 60 + second) * MICROS_A_SECOND + fractionMicros(match[4]);
}

/**
 * Microseconds from 1970-01-01T00:00:00Z of a timestamp with `T` or a space in it; without an offset it is taken as UTC.
 * A number where that is exact, else a bigint; undefined for infinity, BC, 24:00, and what is no timestamp or out of range.
 */
export function parseTimestamp(text: string): number | bigint | undefined {
  return parseUsualTimestamp(text) ?? parseAnyTimestamp(text);
}

/** Two digits as a number; NaN or nonsense above 99 when they are none. */
function pair(text: string, at: number): number {
  const high = text.charCodeAt(at) - 48;
  const low = text.charCodeAt(at + 1) - 48;
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : 1000;
}

/** `2024-01-31 12:34:56[.123456][+00]`, by far the most frequent form, without a regular expression. */
function parseUsualTimestamp(text: string): number | undefined {
  const length = text.length;
  if (length < 19 || text[4] !== "-" || text[7] !== "-" || text[13] !== ":" || text[16] !== ":")
    return undefined;
  if (text[10] !== " " && text[10] !== "T") return undefined;
  const century = pair(text, 0);
  const yearOfCentury = pair(text, 2);
  const month = pair(text, 5);
  const day = pair(text, 8);
  const hour = pair(text, 11);
  const minute = pair(text, 14);
  const second = pair(text, 17);
  // Outside of these centuries microseconds are no safe integers.
  if (century < 17 || century > 21 || yearOfCentury > 99 || hour > 23 || minute > 59 || second > 59)
    return undefined;
  const year = century * 100 + yearOfCentury;
  if (!validDate(year, month, day)) return undefined;

  let at = 19;
  let micros = 0;
  if (text[at] === ".") {
    let unit = 100_000;
    for (at++; at < length && at < 26; at++, unit /= 10) {
      const digit = text.charCodeAt(at) - 48;
      if (digit < 0 || digit > 9) break;
      micros += digit * unit;
    }
    if (unit === 100_000) return undefined;
  }
  if (at < length && !(at === length - 1 && text[at] === "Z")) {
    if (at !== length - 3 || text[at] !== "+" || text[at + 1] !== "0" || text[at + 2] !== "0")
      return undefined;
  }
  const seconds = daysOfDate(year, month, day) * SECONDS_A_DAY + (hour * 60 + minute) * 60 + second;
  return seconds * MICROS_A_SECOND + micros;
}

function parseAnyTimestamp(text: string): number | bigint | undefined {
  const match = TIMESTAMP.exec(text);
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6] ?? 0)];
  if (!validDate(year, month, day) || hour > 23 || minute > 59 || second > 59) return undefined;
  const offset = Number(match[10] ?? 0) * 3600 + Number(match[11] ?? 0) * 60 + Number(match[12] ?? 0);
  const seconds =
    daysOfDate(year, month, day) * SECONDS_A_DAY +
    (hour * 60 + minute) * 60 +
    second -
    (match[9] === "-" ? -offset : offset);
  const micros = fractionMicros(match[7]);
  if (Math.abs(seconds) < SAFE_SECONDS) return seconds * MICROS_A_SECOND + micros;
  const exact = BigInt(seconds) * BigInt(MICROS_A_SECOND) + BigInt(micros);
  return exact <= MAX_INT64 ? exact : undefined;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

/** Writes days from 1970-01-01 as `2024-02-29`; years beyond 9999 have as many digits as they need. */
export function formatDate(days: number): string {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const yearText = year > 999 ? `${year}` : `${year}`.padStart(4, "0");
  return `${yearText}-${two(month)}-${two(day)}`;
}

/** Writes microseconds from midnight as `12:34:56` or `12:34:56.7`: no more fractional digits than needed, as Postgres does. */
export function formatTime(micros: number): string {
  const seconds = Math.floor(micros / MICROS_A_SECOND);
  const fraction = micros - seconds * MICROS_A_SECOND;
  const minutes = Math.floor(seconds / 60);
  const text = `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(seconds % 60)}`;
  return fraction === 0 ? text : `${text}.${fraction.toString().padStart(6, "0").replace(/0+$/, "")}`;
}

/** Writes microseconds from 1970 as `2024-02-29T12:34:56.123456Z`. */
export function formatTimestamp(micros: number | bigint): string {
  const microsADay = SECONDS_A_DAY * MICROS_A_SECOND;
  let days: number;
  let microsOfDay: number;
  if (typeof micros === "bigint") {
    const whole = micros / BigInt(microsADay) - (micros % BigInt(microsADay) < 0n ? 1n : 0n);
    days = Number(whole);
    microsOfDay = Number(micros - whole * BigInt(microsADay));
  } else {
    days = Math.floor(micros / microsADay);
    microsOfDay = micros - days * microsADay;
  }
  return `${formatDate(days)}T${formatTime(microsOfDay)}Z`;
}
