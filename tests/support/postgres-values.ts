import fc from "fast-check";

/** Literals of a Postgres type. */
export type Literals = fc.Arbitrary<string>;

const MAX_INT64 = 2n ** 63n - 1n;

/** Random ones, and each time also some that are known to be hard. */
function withHard(random: Literals, ...hard: string[]): Literals {
  return fc.oneof({ weight: 2, arbitrary: random }, { weight: 1, arbitrary: fc.constantFrom(...hard) });
}

/** Whole numbers of so many bits, to their limits. */
export function integers(bits: number): Literals {
  const max = 2n ** BigInt(bits - 1) - 1n;
  const random = fc.oneof(fc.bigInt({ min: -max - 1n, max }), fc.bigInt({ min: -200n, max: 200n }));
  return withHard(
    random.map(String),
    String(max),
    String(-max - 1n),
    "0",
    ...[7, 14, 21, 28, 31, 35, 42, 49, 52, 53, 56, 62]
      .filter((bit) => bit < bits - 1)
      .flatMap((bit) => [
        `${2n ** BigInt(bit)}`,
        `${-(2n ** BigInt(bit)) - 1n}`,
        `${2n ** BigInt(bit) + 1n}`,
      ]),
  );
}

/** Whole numbers that a double holds. */
export const safeIntegers: Literals = withHard(
  fc.maxSafeInteger().map(String),
  "9007199254740992",
  "-9007199254740992",
  "1000000000000000000",
);

/** Digits with a point somewhere, zeros at both ends included. */
function digits(maxDigits: number): fc.Arbitrary<string> {
  const digit = fc.constantFrom(..."00012345678999");
  return fc.oneof(
    fc.array(digit, { minLength: 1, maxLength: 30 }).map((list) => list.join("")),
    fc.array(digit, { minLength: 1, maxLength: maxDigits }).map((list) => list.join("")),
  );
}

const finiteNumerics: Literals = fc
  .record({ sign: fc.constantFrom("", "-"), whole: digits(500), fraction: fc.option(digits(500)) })
  .map(({ sign, whole, fraction }) => `${sign}${whole}${fraction === null ? "" : `.${fraction}`}`);

/** Of up to 1,000 digits, with NaN, infinities and scales of their own. */
export const numerics: Literals = withHard(
  finiteNumerics,
  ...["NaN", "Infinity", "-Infinity", "0", "0.000", "1.500", "-0.1", "1e400", "-1e-400", "9".repeat(1000)],
  ...[
    `0.${"1".repeat(1000)}`,
    "1e15",
    "100000000000000000000",
    `1${"0".repeat(998)}1`,
    "12345678901234567890.12",
  ],
);

/** numeric(precision, scale) without NaN. */
export function decimals(precision: number, scale: number): Literals {
  const max = 10n ** BigInt(precision) - 1n;
  const unscaled = fc.oneof(
    fc.bigInt({ min: -max, max }),
    fc.bigInt({ min: -300n, max: 300n }),
    fc.constantFrom(max, -max, 0n, 127n, 128n, -128n, -129n, 32767n, -32769n, 2n ** 47n, -(2n ** 63n)),
  );
  return unscaled
    .filter((value) => value <= max && value >= -max)
    .map((value) => {
      const text = String(value < 0n ? -value : value).padStart(scale + 1, "0");
      const point = text.length - scale;
      return `${value < 0n ? "-" : ""}${text.slice(0, point)}${scale === 0 ? "" : `.${text.slice(point)}`}`;
    });
}

const float = (value: number): string => (Object.is(value, -0) ? "-0" : String(value));
const FLOATS = ["NaN", "Infinity", "-Infinity", "0", "-0", "0.1", "1e23", "9007199254740993", "123456.789"];

export const doubles: Literals = withHard(
  fc.double().map(float),
  ...FLOATS,
  ...["5e-324", "-5e-324", "2.2250738585072011e-308", "1.7976931348623157e308"],
);
export const finiteDoubles: Literals = fc.double({ noNaN: true, noDefaultInfinity: true }).map(float);
export const reals: Literals = withHard(
  fc.float().map(float),
  ...FLOATS,
  ...["1e-45", "1.1754942e-38", "3.4028235e38", "16777216", "16777217", "8.5899346e9"],
);
/** Numerics that are the shortest text of a double. */
export const doubleNumerics: Literals = withHard(
  finiteDoubles.filter((text) => text !== "-0"),
  "NaN",
  "Infinity",
  "-Infinity",
  "100000000000000000000",
  "0.1",
);

/** Every plane, with what editors and parsers stumble over; what the type cannot hold is `without`. */
export function texts(maxLength = 40, without: RegExp = /\0/g): Literals {
  const random = fc.oneof(
    fc.string({ unit: "binary", maxLength }),
    fc.string({ unit: "grapheme", maxLength }),
    fc.string({ unit: fc.constantFrom(...`\\"'{}(),;:<>= \t\n[]NULL%$`), maxLength }),
  );
  const hard = [
    ...["", " ", "NULL", "null", "{}", "()", '""', "\\", "\\\\x00", "'", "%s", "$1", ":v", "a,b", "-0", "t"],
    ...["\u0301", "e\u0301", "é", "\u{1f469}\u200d\u{1f4bb}", "\u{10ffff}", "\ufeff", "\uffff", "\u202eabc"],
    ...["\u{1f1f3}\u{1f1f1}", "tab\there", "line\nfeed", "\r\n", "\u0001\u001f\u007f", "\u2028", "İıß"],
  ];
  return withHard(random, ...hard).map((text) => [...text.replace(without, "")].slice(0, maxLength).join(""));
}

/** Texts, some of them long enough to be stored outside of the row, compressed or not. */
export const longTexts: Literals = fc.oneof(
  { weight: 9, arbitrary: texts() },
  {
    weight: 1,
    arbitrary: fc.tuple(texts(), fc.integer({ min: 100, max: 3000 })).map(([a, n]) => a.repeat(n)),
  },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ minLength: 3000, maxLength: 9000 })
      .map((a) => Buffer.from(a).toString("base64")),
  },
);

export const booleans: Literals = fc.constantFrom("t", "f");

export const byteas: Literals = withHard(
  fc.uint8Array({ maxLength: 60 }).map((bytes) => `\\x${Buffer.from(bytes).toString("hex")}`),
  "\\x",
  "\\x00",
  "\\x5c78",
  "\\xff00fe",
  `\\x${"c3".repeat(5000)}`,
);

export const uuids: Literals = fc.oneof(
  fc.uuid(),
  fc.constantFrom("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
);

const two = (value: number): string => String(value).padStart(2, "0");

function calendar(minYear: number, maxYear: number): Literals {
  const year = fc.oneof(
    fc.integer({ min: 1900, max: 2100 }),
    fc.integer({ min: minYear, max: maxYear }),
    fc.constantFrom(1, 4, 100, 400, 999, 1000, 1582, 1900, 2000, 9999, 10000).filter((y) => y <= maxYear),
  );
  return fc.tuple(year, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 })).map(([y, m, d]) => {
    const text = `${String(y < 1 ? 1 - y : y).padStart(4, "0")}-${two(m)}-${two(d)}`;
    return y < 1 ? `${text} BC` : text;
  });
}

/** Dates from year 1 on, all that Avro's date takes. */
export const commonDates: Literals = withHard(
  calendar(1, 5_874_896),
  ...["0001-01-01", "1969-12-31", "1970-01-01", "2000-02-29", "2024-02-29", "9999-12-31", "5874897-12-31"],
);
export const dates: Literals = withHard(
  calendar(-4711, 5_874_896),
  ...["infinity", "-infinity", "4713-01-01 BC", "0001-12-31 BC", "0044-03-15 BC"],
);

const MICROS_A_DAY = 86_400_000_000;

const clock = (micros: number): string => {
  const seconds = Math.floor(micros / 1e6);
  const fraction = String(micros % 1e6).padStart(6, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${fraction}`;
};

const micros = fc.oneof(
  fc.integer({ min: 0, max: MICROS_A_DAY - 1 }),
  fc.constantFrom(0, 1, 999_999, 500_000, MICROS_A_DAY - 1, 43_200_000_000),
);

export const commonTimes: Literals = micros.map(clock);
export const times: Literals = withHard(commonTimes, "24:00:00", "00:00:00");
const OFFSETS = ["+00", "+01", "-03:30", "+05:45", "+15:59:59", "-15:59:59", "-00:00:01"];
export const timetzs: Literals = fc.tuple(times, fc.constantFrom(...OFFSETS)).map((parts) => parts.join(""));

function timestampsOf(dayTexts: Literals, hard: readonly string[]): Literals {
  const random = fc.tuple(dayTexts, micros).map(([day, time]) => {
    const [date = "", era] = day.split(" ");
    return `${date} ${clock(time)}${era === undefined ? "" : ` ${era}`}`;
  });
  return withHard(random, ...hard);
}

const LAST = "294246-12-31 23:59:59.999999";

/** Timestamps from year 1 on, all that 64 bits of microseconds from 1970 take. */
export const commonTimestamps: Literals = timestampsOf(calendar(1, 294_246), [
  ...["0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999", LAST],
  ...["2255-06-05 23:47:34.740993", "1699-12-31 23:59:59.999999", "2200-01-01 00:00:00.000001"],
]);
export const timestamps: Literals = timestampsOf(calendar(-4711, 294_275), [
  ...[
    "infinity",
    "-infinity",
    "4713-01-01 00:00:00 BC",
    "294276-12-31 23:59:59.999999",
    "0001-12-31 24:00:00 BC",
  ],
]);

/** The same in other zones: the instant is what counts. */
export function zoned(wallClocks: Literals): Literals {
  const zones = ["", "+00", "+05:45", "-11:30", " Europe/Amsterdam", " America/St_Johns"];
  return fc.tuple(wallClocks, fc.constantFrom(...zones)).map(([text, zone]) => {
    // At both ends of the range another zone leads out of it.
    if (/infinity|^4713|^29427|^294246-12-31|^0001-01-01/.test(text)) return text;
    return text.endsWith(" BC") ? `${text.slice(0, -3)}${zone} BC` : `${text}${zone}`;
  });
}

const sign = fc.constantFrom("", "-");

export const intervals: Literals = withHard(
  fc
    .record({
      years: fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer({ min: -170_000_000, max: 170_000_000 })),
      months: fc.integer({ min: -13, max: 13 }),
      days: fc.oneof(
        fc.integer({ min: -40, max: 40 }),
        fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
      ),
      sign,
      hours: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 2_562_047_000 })),
      time: micros,
    })
    .map(({ years, months, days, hours, time, ...rest }) => {
      const minutes = clock(time).slice(3);
      return `${years} years ${months} mons ${days} days ${rest.sign}${two(hours)}:${minutes}`;
    }),
  ...["infinity", "-infinity", "0", "-1 mons +1 day -00:00:00.000001", "1 year -13 mons", "-00:00:01"],
  ...["1 day -1 hour", "-178000000 years", "2147483647 days", "2562047788:00:54.775807"],
);

export const money: Literals = withHard(
  fc.bigInt({ min: -MAX_INT64 - 1n, max: MAX_INT64 }).map((cents) => {
    const text = String(cents < 0n ? -cents : cents).padStart(3, "0");
    return `${cents < 0n ? "-" : ""}${text.slice(0, -2)}.${text.slice(-2)}`;
  }),
  "0",
  "-0.01",
  "92233720368547758.07",
  "-92233720368547758.08",
);

/** Whole numbers from 0. */
export function unsigned(bits: number): Literals {
  const max = 2n ** BigInt(bits) - 1n;
  return withHard(fc.bigInt({ min: 0n, max }).map(String), "0", String(max));
}

/** One of the literals given. */
export function oneOf(...literals: string[]): Literals {
  return fc.constantFrom(...literals);
}

/** Of one kind or another. */
export function either(...kinds: Literals[]): Literals {
  return fc.oneof(...kinds);
}
