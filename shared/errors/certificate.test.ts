import { expect, test } from "vitest";
import { isCertificateRefused } from "./certificate.ts";

const withCode = (code: string) => Object.assign(new Error("no"), { code });

test.each([
  ["CERT_HAS_EXPIRED", true],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", true],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", true],
  ["ERR_TLS_CERT_ALTNAME_INVALID", true],
  ["ECONNREFUSED", false],
  ["28P01", false],
])("%s: %s", (code, refused) => {
  expect(isCertificateRefused(withCode(code))).toBe(refused);
  expect(isCertificateRefused(new Error("fetch failed", { cause: withCode(code) }))).toBe(refused);
});
