const REDRAW_MS = 200;

/** One line that is drawn over again while something goes on; nothing where nobody looks. */
export interface ProgressDisplay {
  readonly show: (what: string) => void;
  readonly clear: () => void;
}

/** On stderr, where that is a terminal. */
export function progressDisplay(stream: NodeJS.WriteStream = process.stderr): ProgressDisplay {
  if (!stream.isTTY) return { show: () => {}, clear: () => {} };
  let lastMs = 0;
  return {
    show: (what) => {
      if (performance.now() - lastMs < REDRAW_MS) return;
      lastMs = performance.now();
      stream.write(`\r${what.slice(0, (stream.columns ?? 80) - 1)}\x1b[K`);
    },
    clear: () => {
      lastMs = 0;
      stream.write("\r\x1b[K");
    },
  };
}
