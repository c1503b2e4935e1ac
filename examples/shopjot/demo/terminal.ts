import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

/** Writes lines for a person to read; in colour only where that helps. */
export interface Terminal {
  line(text?: string): void;
  paint(style: Style, text: string): string;
}

/** Colour on a terminal, unless NO_COLOR has a value (no-color.org). */
export function createTerminal(
  stream: NodeJS.WriteStream,
  env: Record<string, string | undefined>,
): Terminal {
  const colour = stream.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  return {
    line: (text = "") => stream.write(`${text}\n`),
    paint: (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text),
  };
}
