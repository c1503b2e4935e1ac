import type { Manifest } from "../../../shared/manifest/schema.ts";
import { type Fault, until } from "../harness/fault.ts";
import type { RegistryMood } from "../harness/registry-front.ts";

const GROUP = "6. Registry";

const MOODS: readonly { id: string; title: string; mood: RegistryMood }[] = [
  { id: "down", title: "is down", mood: "down" },
  { id: "hang", title: "takes connections and never answers", mood: "hang" },
  { id: "500", title: "answers 500", mood: { status: 500, body: "<h1>Internal error</h1>" } },
  { id: "503", title: "answers 503", mood: { status: 503, body: '{"message":"starting"}' } },
  { id: "garbage", title: "answers 200 with a page", mood: { status: 200, body: "<html>Sign in</html>" } },
  { id: "404", title: "answers 404 with a page", mood: { status: 404, body: "default backend - 404" } },
  { id: "409", title: "answers 409", mood: { status: 409, body: '{"error_code":409,"message":"busy"}' } },
];

/** A connector that has never worked ends when the registry answers nonsense: its address is wrong. It waits for one that is away. */
const REFUSALS = ["garbage", "404", "409"];

/** Both start against a registry in that mood, with cold caches and events waiting, and it then gets well. */
const atStart = ({ id, title, mood }: (typeof MOODS)[number]): Fault => ({
  id: `registry-${id}`,
  group: GROUP,
  title: `the registry ${title} when both start with cold caches`,
  mayEnd: REFUSALS.includes(id) ? ["source", "sink"] : [],
  async run({ pipeline, last, random }) {
    const { sourceRegistry, sinkRegistry } = pipeline.links;
    await pipeline.sink?.kill();
    // Events are waiting for the sink.
    await last(random.int(200, 1_000));
    await pipeline.source?.kill();
    sourceRegistry.mood = mood;
    sinkRegistry.mood = mood;
    await pipeline.start("source");
    await pipeline.start("sink");
    await until(() => sourceRegistry.faulted > 0 && sinkRegistry.faulted > 0, 30_000, "both to ask");
    await last(random.int(500, 4_000));
    for (const kind of ["source", "sink"] as const) {
      const connector = pipeline[kind];
      if (mood === "hang" || connector?.running !== true) continue;
      const [unit] = (await connector.status()).units;
      if (unit?.role === "active" && unit.lastError === null && kind === "source")
        throw new Error(`the ${kind} says it is well: ${JSON.stringify(unit)}`);
    }
    sourceRegistry.mood = "pass";
    sinkRegistry.mood = "pass";
  },
});

const flicker: Fault = {
  id: "registry-flickers",
  group: GROUP,
  title: "the registry comes and goes while connectors are started again and again",
  async run({ pipeline, last, random }) {
    const { sourceRegistry, sinkRegistry } = pipeline.links;
    for (let i = 0; i < 6; i++) {
      const front = random.pick([sourceRegistry, sinkRegistry]);
      front.mood = random.pick(["down", { status: 502, body: "" }] as const);
      await pipeline[front === sourceRegistry ? "source" : "sink"]?.kill();
      await pipeline.keepAlive();
      await last(random.int(300, 2_000));
      front.mood = "pass";
      await last(random.int(0, 1_500));
    }
  },
};

/** A new minor version of the public schema: its events have a schema that the running sink has never met. */
function addField(manifest: Manifest): void {
  const [item] = manifest.publicSchemas ?? [];
  if (item === undefined) throw new Error("no public schema");
  Object.assign(item.outputSchema.properties ?? {}, { note: { type: ["string", "null"] } });
  item.version = { major: 1, minor: 1 };
  for (const transformation of item.config.transformations)
    transformation.sql = transformation.sql.replace("body FROM", "body, NULL::text AS note FROM");
}

const midStream = ({ id, title, mood }: (typeof MOODS)[number]): Fault => ({
  id: `registry-mid-stream-${id}`,
  ...(id === "409" ? { quickSeed: 63 } : {}),
  group: GROUP,
  title: `the registry ${title} when a running sink meets a schema for the first time; the sink goes on by itself`,
  async run({ pipeline, last, random }) {
    const { sinkRegistry } = pipeline.links;
    const { sink } = pipeline;
    sinkRegistry.mood = mood;
    await pipeline.change("source", addField);
    await pipeline.source?.kill();
    await pipeline.start("source");
    await until(() => sinkRegistry.faulted > 0, 30_000, "the sink to ask");
    if (mood !== "hang") {
      const isNamed = async () =>
        (await sink?.status())?.units[0]?.lastError?.code.startsWith("REGISTRY_") === true;
      await until(isNamed, 20_000, "the sink to name the registry");
    }
    await last(random.int(500, 4_000));
    sinkRegistry.mood = "pass";
    await last(3_000);
    if (sink?.running !== true) throw new Error(`the sink has ended:\n${sink?.logTail()}`);
  },
});

/** Trouble with the schema registry. */
export const REGISTRY: readonly Fault[] = [
  ...MOODS.map(atStart),
  ...MOODS.filter(({ id }) => id !== "503").map(midStream),
  flicker,
];
