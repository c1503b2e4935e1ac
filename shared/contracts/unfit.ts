import { RejotError } from "../errors/error.ts";

/** Why a value does not fit its field, before it is known which row and field it is. */
export class Unfit extends Error {
  readonly code: "VALUE_NULL" | "VALUE_NOT_REPRESENTABLE";
  /** Names and indexes from the field down to the value, outermost first. */
  readonly path: (string | number)[] = [];
  /** The value as people know it, where that is not the value that was handed over. */
  shown: string | undefined;
  /** What to do, where the error table's advice is another. */
  hint: string | undefined;

  constructor(why: string, code: "VALUE_NULL" | "VALUE_NOT_REPRESENTABLE" = "VALUE_NOT_REPRESENTABLE") {
    super(why);
    this.code = code;
  }

  /** Adds where inside of its parent the value stands, and hands the error on. */
  static at(step: string | number, error: unknown): unknown {
    if (error instanceof Unfit) error.path.unshift(step);
    return error;
  }
}

const SHOWN_CHARACTERS = 200;

/** An error for people, naming the field and the value; errors of other kinds are handed through. */
export function explainUnfit(error: unknown, record: string, field: string, value: unknown): unknown {
  const known = error instanceof SyntaxError ? new Unfit(error.message) : error;
  if (!(known instanceof Unfit)) return error;
  const path = [field, ...known.path].join(".");
  const text = known.shown ?? (typeof value === "string" ? value : String(value));
  const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return new RejotError(known.code, {
    detail:
      known.code === "VALUE_NULL" && known.path.length === 0
        ? `field "${path}" of ${record}`
        : `field "${path}" of ${record}, value '${shown}': ${known.message}`,
    context: { record, field: path },
    ...(known.hint === undefined ? {} : { hint: known.hint }),
  });
}
