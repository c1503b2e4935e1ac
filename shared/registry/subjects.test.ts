import { describe, expect, test } from "vitest";
import { putFreely, removeSubject } from "./free-subjects.ts";
import { listSubjects } from "./list-subjects.ts";
import type { RegistryAnswer, RegistryRequest } from "./registry-http.ts";

type Answers = (method: string, path: string) => RegistryAnswer;

/** A registry that only answers; what it was asked is kept. */
function registry(answers: Answers): { request: RegistryRequest; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    request: async (method, path) => {
      asked.push(`${method} ${path}`);
      return answers(method, path);
    },
  };
}

const ok = (body: unknown = {}): RegistryAnswer => ({ status: 200, body });
const refused = ({ status }: RegistryAnswer, what: string) => new Error(`${what}: ${status}`);
const missing: RegistryAnswer = { status: 404, body: { error_code: 40401 } };

describe("a subject that promises nothing", () => {
  test("has its level before its first version where the registry takes it", async () => {
    const { request, asked } = registry(() => ok({ id: 1 }));
    await putFreely(request, "a b", {}, refused);
    expect(asked).toEqual(["PUT /config/a%20b", "POST /subjects/a%20b/versions"]);
  });

  test("gets it after, where there is no level without a subject", async () => {
    let exists = false;
    const { request, asked } = registry((method) => {
      if (method === "POST") exists = true;
      return method === "PUT" && !exists ? missing : ok();
    });
    await putFreely(request, "s", {}, refused);
    expect(asked).toEqual(["PUT /config/s", "POST /subjects/s/versions", "PUT /config/s"]);
  });

  test("begins anew where a rule of the whole registry refuses what follows", async () => {
    let deleted = false;
    const { request, asked } = registry((method) => {
      if (method === "DELETE") deleted = true;
      return method === "POST" && !deleted ? { status: 409, body: {} } : ok();
    });
    await putFreely(request, "s", {}, refused);
    expect(asked.filter((each) => !each.startsWith("PUT"))).toEqual([
      "POST /subjects/s/versions",
      "DELETE /subjects/s",
      "POST /subjects/s/versions",
    ]);
  });

  test("throws what the registry does not take, and a wrong address", async () => {
    const strict = registry((method) => (method === "POST" ? { status: 422, body: {} } : ok()));
    await expect(putFreely(strict.request, "s", {}, refused)).rejects.toThrow("s: 422");
    expect(await removeSubject(registry(() => missing).request, "s", refused)).toBe(false);
    const elsewhere = registry(() => ({ status: 404, body: "not found" }));
    await expect(removeSubject(elsewhere.request, "s", refused)).rejects.toThrow("s: 404");
  });
});

describe("the list of subjects", () => {
  const many = (count: number, prefix = "s") => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

  test("is one request where it cannot have been cut off", async () => {
    const small = registry(() => ok(["b-x", "a"]));
    expect(await listSubjects(small.request, refused)).toEqual(["a", "b-x"]);
    expect(await listSubjects(small.request, refused, { contains: "-" })).toEqual(["b-x"]);
    const filtering = registry(() => ok(many(800)));
    expect(await listSubjects(filtering.request, refused, { prefix: "s" })).toHaveLength(800);
    expect(filtering.asked).toEqual(["GET /subjects?subjectPrefix=s"]);
  });

  test.each([
    ["/apis/registry/v2/", "id"],
    ["/apis/registry/v3/", "artifactId"],
  ])("is read whole from %s where Apicurio has cut it", async (api, id) => {
    const all = [...many(1_000), ...many(200, "t")];
    const { request } = registry((_method, path) => {
      if (path.startsWith("/subjects")) return ok(all.slice(0, 1_000));
      if (!path.startsWith(api)) return { status: 404, body: "not found" };
      const query = new URLSearchParams(path.slice(path.indexOf("?")));
      const [offset, limit] = [Number(query.get("offset")), Number(query.get("limit"))];
      const found = all.filter((subject) => subject.includes(query.get("name") ?? ""));
      return ok({ artifacts: found.slice(offset, offset + limit).map((subject) => ({ [id]: subject })) });
    });
    expect(await listSubjects(request, refused)).toHaveLength(1_200);
    expect(await listSubjects(request, refused, { prefix: "t" })).toHaveLength(200);
  });

  test("is what it is where there is no such API", async () => {
    const { request } = registry((_method, path) =>
      path.startsWith("/subjects") ? ok(many(2_000)) : { status: 404, body: "not found" },
    );
    expect(await listSubjects(request, refused)).toHaveLength(2_000);
  });
});
