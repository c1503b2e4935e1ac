import { expect, test } from "vitest";
import { processSettings } from "../shared/process/process-settings.ts";
import { settingsTable } from "../shared/settings/settings.ts";
import { SINK_PREFIX, sinkSettings } from "../sink-connector/config.ts";
import { SOURCE_PREFIX, sourceSettings } from "../source-connector/config.ts";

test("docs/settings.md says what the settings say", async () => {
  const page = `# Settings

What is between teams stands in the manifest; these settings belong to a process. A flag outranks a variable, a
variable the default. The page is made from the settings' definitions (\`npm run docs\`).

## Source connector

${settingsTable(sourceSettings, SOURCE_PREFIX)}

## Sink connector

${settingsTable(sinkSettings, SINK_PREFIX)}

## Both (here with the source's prefix; the sink's is \`${SINK_PREFIX}\`)

${settingsTable(processSettings, SOURCE_PREFIX)}
`;
  await expect(page).toMatchFileSnapshot("../docs/settings.md");
});
