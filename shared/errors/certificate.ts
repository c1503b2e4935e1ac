/** What Node calls a server's certificate that it does not accept: expired, for another host, of an unknown authority. */
const REFUSED =
  /^(CERT_|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|ERR_TLS_CERT_ALTNAME_INVALID|INVALID_CA)/;

/** Whether an error, or one that it wraps, says that a server's certificate was not accepted. */
export function isCertificateRefused(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as NodeJS.ErrnoException;
    if (typeof code === "string" && REFUSED.test(code)) return true;
  }
  return false;
}
