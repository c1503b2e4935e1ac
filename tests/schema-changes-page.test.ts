import { expect, test } from "vitest";
import { compareContracts } from "../shared/contracts/evolution/compare-contracts.ts";
import type { Broken, SchemaChange } from "../shared/contracts/evolution/schema-change.ts";
import { type ChangeCase, SCHEMA_CHAINS, SCHEMA_CHANGES } from "./support/schema-change-table.ts";

test("docs/schema-changes.md says what the table says", async () => {
  await expect(page()).toMatchFileSnapshot("../docs/schema-changes.md");
});

function page(): string {
  const sections = SCHEMA_CHANGES.map(
    ({ title, cases }) => `## ${title}

| change | verdict | old readers | new readers | version |
|---|---|---|---|---|
${cases.map(row).join("\n")}
`,
  );
  const chains = SCHEMA_CHAINS.map(({ change }) => `- ${change}`).join("\n");
  return `# What a change of a public schema does

Within a major version every schema must be able to read what every other wrote (FULL_TRANSITIVE): consumers upgrade when
they like, and a topic holds events of all versions. **Old readers** are consumers that know the old schema and read new
events; **new readers** know the new one and read the events published before. [evolution.md](evolution.md) tells how to
check, and how to make a change that breaks: as a new major version beside the old one.

The page is made (\`npm run docs\`) from the table that \`tests/integration/schema-matrix.test.ts\` holds against three
implementations: \`schema check\`, avsc's resolver, and a real registry.

| verdict | |
|---|---|
| ✓ | fine for everybody |
| ✗ | breaks whom it says; the registry refuses it, too |
| ✗ ¹ ² ³ | breaks whom it says; the registry would let it pass ([why it should not](#stricter-than-the-registry)) |

A field that may go as far as Avro is concerned can be one that a consumer's SQL uses: \`schema check\` then names the
consumer and the placeholder. "Stays" means that the version need not be raised.

${sections.join("\n")}
## Passes one by one, not together

Each of these is three versions. The second may follow the first, and the third the second; but the third breaks with the
first, whose events and consumers are still there. So a check against the latest version only is none.

${chains}

## Stricter than the registry

A registry asks whether the bytes can be read. \`schema check\` and the source also ask whether they mean the same to the SQL
of a consumer, which would get another value without any error.

1. **Another meaning of the same bytes.** Avro's resolution ignores logical types (uuid, timestamp, decimal with its
   precision and scale), reads text and bytes for each other, and does not know \`rejot.json\`.
2. **Another list of values** of a text or number that is no Avro enum. It stands in \`rejot.values\`, which Avro does not know;
   the same change of an enum is refused by every registry.
3. **Another key.** Its bytes choose the partition and are what compaction goes by, and the id of the key's schema is among
   them: even a key that all can read would put the same object elsewhere, beside the events it should replace.
`;
}

function row({ change, before, after, expected }: ChangeCase): string {
  const changes = compareContracts(before, after);
  const breaking = changes.filter(({ breaks }) => breaks.length > 0);
  const mark =
    breaking.length === 0 ? "✓" : expected.startsWith("stricter") ? `✗ ${reasonOf(breaking)}` : "✗";
  return `| ${change} | ${mark} | ${reads(changes, "old-readers")} | ${reads(changes, "new-readers")} | ${bumpOf(changes)} |`;
}

function reasonOf([change]: readonly SchemaChange[]): string {
  if (change?.kind === "key-changed") return "³";
  return change?.kind.startsWith("enum-value") ? "²" : "¹";
}

function reads(changes: readonly SchemaChange[], reader: Broken): string {
  return changes.some(({ breaks }) => breaks.includes(reader)) ? "break" : "fine";
}

function bumpOf(changes: readonly SchemaChange[]): string {
  const bumps = changes.map(({ bump }) => bump);
  return bumps.includes("major") ? "**major**" : bumps.includes("minor") ? "minor" : "stays";
}
