import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type CliResult, runCliIn } from "./run-cli.ts";

/** A public schema of the project: fields as JSON Schema, all required unless they end in "?". */
export interface ProjectSchema {
  readonly fields: Readonly<Record<string, object>>;
  readonly version?: readonly [major: number, minor: number];
  readonly key?: readonly string[];
  readonly name?: string;
}

/** A team's folder with a manifest, in a git repository of its own. */
export class SchemaProject implements AsyncDisposable {
  readonly directory: string;
  readonly slug: string;
  readonly #registryUrl: string;

  private constructor(directory: string, slug: string, registryUrl: string) {
    this.directory = directory;
    this.slug = slug;
    this.#registryUrl = registryUrl;
  }

  static async create(options: { slug: string; registryUrl: string }): Promise<SchemaProject> {
    const directory = await mkdtemp(join(tmpdir(), "rejot-project-"));
    const project = new SchemaProject(directory, options.slug, options.registryUrl);
    await project.git("init", "--quiet", "--initial-branch=main");
    return project;
  }

  /** Writes the manifest. */
  async define(...schemas: ProjectSchema[]): Promise<void> {
    const manifest = {
      slug: this.slug,
      manifestVersion: 0,
      connections: [
        { slug: "db", config: { connectionType: "postgres", connectionString: "${NOT_SET}" } },
        {
          slug: "events",
          config: {
            connectionType: "kafka",
            brokers: ["${NOT_SET}"],
            schemaRegistry: { url: this.#registryUrl },
          },
        },
      ],
      dataStores: [
        {
          connectionSlug: "db",
          config: { connectionType: "postgres", slotName: "s", publicationName: "p" },
        },
      ],
      eventStores: [{ connectionSlug: "events" }],
      publicSchemas: schemas.map(publicSchemaOf),
    };
    await writeFile(join(this.directory, "rejot-manifest.json"), JSON.stringify(manifest, null, 2));
  }

  /** Runs `rejot-kafka schema …` in the folder. */
  schema(...args: string[]): Promise<CliResult> {
    return runCliIn(this.directory, ["schema", ...args]);
  }

  async commit(): Promise<void> {
    await this.git("add", ".");
    await this.git("commit", "--quiet", "--allow-empty", "--message", "a change");
  }

  async git(...args: string[]): Promise<string> {
    const identity = [
      "-c",
      "user.name=test",
      "-c",
      "user.email=test@example.org",
      "-c",
      "commit.gpgsign=false",
    ];
    const { stdout } = await promisify(execFile)("git", [...identity, ...args], { cwd: this.directory });
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

function publicSchemaOf({
  fields,
  version = [1, 0],
  key = ["id"],
  name = "customer",
}: ProjectSchema): object {
  const entries = Object.entries({ id: { type: "integer" }, ...fields });
  const bare = (field: string) => field.replace(/\?$/, "");
  return {
    name,
    source: { dataStoreSlug: "db" },
    outputSchema: {
      type: "object",
      properties: Object.fromEntries(entries.map(([field, type]) => [bare(field), type])),
      required: entries.map(([field]) => field).filter((field) => !field.endsWith("?")),
    },
    key: [...key],
    version: { major: version[0], minor: version[1] },
    config: {
      publicSchemaType: "postgres",
      transformations: [{ operation: "insert", table: "customers", sql: "SELECT 1" }],
    },
  };
}
