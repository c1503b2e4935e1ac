import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Key and certificate of a server on this machine, in PEM. */
export interface ServerCertificate {
  readonly key: string;
  readonly certificate: string;
}

/** An authority of a test's own. `await using` removes its files. */
export interface Authority extends AsyncDisposable {
  /** Its certificate, in PEM, for those who are to trust it. */
  readonly ca: string;
  /** One for localhost, good for a day or expired since yesterday. */
  issue(state: "valid" | "expired"): Promise<ServerCertificate>;
}

/** Why no certificates can be made here. */
export async function noOpenssl(): Promise<string | undefined> {
  const found = await run("openssl", ["version"]).then(
    () => true,
    () => false,
  );
  return found ? undefined : "openssl is not installed";
}

/** Makes an authority with openssl. */
export async function makeAuthority(): Promise<Authority> {
  const directory = await mkdtemp(join(tmpdir(), "rejot-kafka-ca-"));
  const openssl = (...args: string[]) => run("openssl", args, { cwd: directory });
  const read = (name: string) => readFile(join(directory, name), "utf8");
  await openssl(
    "req",
    "-x509",
    ...KEY,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=tests",
  );
  await writeFile(join(directory, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  return {
    ca: await read("ca.pem"),
    issue: async (state) => {
      await openssl("req", ...KEY, "-keyout", "key", "-out", "request", "-subj", "/CN=localhost");
      const days = state === "valid" ? "1" : "-1";
      const signed = [
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "names",
        "-days",
        days,
      ];
      await openssl("x509", "-req", "-in", "request", ...signed, "-out", "certificate");
      return { key: await read("key"), certificate: await read("certificate") };
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
