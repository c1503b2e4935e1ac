import { RejotError } from "../shared/errors/error.ts";

/** A part of ReJot's command line that has no counterpart here. */
interface RejotOnly {
  readonly what: string;
  readonly hint: string;
  /** Whether a command line uses it. */
  readonly isIn: (args: readonly string[]) => boolean;
}

const ONLY_IN_REJOT: readonly RejotOnly[] = [
  {
    what: "`sync`, from one database to another without a manifest",
    hint: "Make a manifest, collect the schemas into it, and run it: rejot-kafka manifest sync ./rejot-manifest.json",
    isIn: ([command]) => command === "sync",
  },
  {
    what: "`--resolver` and its flags, which find the services of other manifests",
    hint:
      "Leave the flag out. A manifest of another team is found in the workspace (`workspaces` names it), " +
      "else its topics are looked for in the consumer's own event store.",
    isIn: (args) => args.some((arg) => /^--(resolver|kubernetes|k8s)\b/.test(arg)),
  },
  {
    what: "connections of the type in-memory",
    hint:
      "Events are kept in Kafka: rejot-kafka manifest connection add --slug events --type kafka " +
      "--brokers <host:port> --schema-registry <url>",
    isIn: (args) => flagValue(args, "--type") === "in-memory",
  },
  {
    what: "the log level `user`",
    hint: "Use info, which is the default.",
    isIn: (args) => flagValue(args, "--log-level") === "user",
  },
];

/** The error for a command line that only ReJot understands; undefined for any other. */
export function rejotOnlyError(args: readonly string[]): RejotError | undefined {
  const found = ONLY_IN_REJOT.find((part) => part.isIn(args));
  return found && new RejotError("REJOT_ONLY", { detail: found.what, hint: found.hint });
}

/** `manifest:connection:add` is the same as `manifest connection add`, as in ReJot. */
export function withoutColons(args: readonly string[]): string[] {
  const [command = "", ...rest] = args;
  return /^(manifest|workspace)(:[a-z]+)+$/.test(command) ? [...command.split(":"), ...rest] : [...args];
}

function flagValue(args: readonly string[], flag: string): string | undefined {
  const joined = args.find((arg) => arg.startsWith(`${flag}=`));
  return joined?.slice(flag.length + 1) ?? args[args.indexOf(flag) + 1 || args.length];
}
