import { expect, test } from "vitest";
import { findJava, javaMajor } from "./java.ts";

test("the major version of Java is read from every form it has had", () => {
  expect(javaMajor('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment')).toBe(17);
  expect(javaMajor('java version "1.8.0_402"')).toBe(8);
  expect(javaMajor('openjdk version "25-ea" 2025-09-16')).toBe(25);
  expect(javaMajor("sh: java: not found")).toBeUndefined();
});

test("a JAVA_HOME without Java is refused with its path", async () => {
  await expect(findJava({ JAVA_HOME: "/nowhere" })).rejects.toMatchObject({
    code: "STACK_JAVA_MISSING",
    message: expect.stringContaining("/nowhere/bin/java"),
  });
});
