import { expect, test } from "vitest";
import { errorsPage } from "./errors-page.ts";
import { ERRORS, type ErrorEntry } from "./table.ts";

test("docs/errors.md says what the error table says", async () => {
  await expect(errorsPage()).toMatchFileSnapshot("../../docs/errors.md");
});

test.each(Object.entries<ErrorEntry>(ERRORS))(
  "%s has a cause and a hint in whole sentences",
  (_code, entry) => {
    for (const text of [entry.cause, entry.hint]) {
      expect(text.length).toBeGreaterThan(8);
      expect(text).toMatch(/[.)`;…]$/);
    }
    expect(entry.title).not.toMatch(/[.!]$/);
  },
);
