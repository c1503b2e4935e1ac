import { z } from "zod";
import { RejotError } from "../../errors/error.ts";
import { parseLsn } from "../../postgres/lsn.ts";
import type { ReadCursor, ReadRequest, SchemaCursor } from "./port.ts";

/** Operations answered at most when the query does not say. */
export const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const MAX_CURSORS = 200;

const cursorSchema = z.object({
  schema: z.object({
    manifest: z.object({ slug: z.string() }),
    schema: z.object({ name: z.string(), version: z.object({ major: z.number().int().min(0) }) }),
  }),
  transactionId: z
    .string()
    .regex(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, "not a transaction id such as 0/16B3748")
    .nullable()
    .optional(),
  offsets: z
    .record(
      z.string().regex(/^\d{1,9}$/, "not a partition"),
      z.union([z.string().regex(/^\d{1,18}$/, "not an offset"), z.number().int().min(0)]),
    )
    .optional(),
});

/** Reads the query of GET /read. Throws READ_REQUEST_INVALID. */
export function parseReadQuery(query: URLSearchParams): ReadRequest {
  return { cursors: parseCursors(query.get("cursors")), limit: parseLimit(query.get("limit")) };
}

function parseLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) {
    throw invalid(`limit is "${text}"; it is a number from 1 to ${MAX_LIMIT}`);
  }
  return limit;
}

function parseCursors(text: string | null): ReadCursor[] {
  if (text === null) return [];
  const parsed = z.array(cursorSchema).max(MAX_CURSORS).safeParse(parseJson(text));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(`cursors${formatPath(issue?.path ?? [])}: ${issue?.message ?? "malformed"}`);
  }
  const seen = new Set<string>();
  return parsed.data.map(({ schema, transactionId, offsets }) => {
    const { name, version } = schema.schema;
    const identity = JSON.stringify([schema.manifest.slug, name, version.major]);
    if (seen.has(identity)) throw invalid(`${name} v${version.major} has two cursors`);
    seen.add(identity);
    return {
      schema: { manifestSlug: schema.manifest.slug, name, major: version.major },
      after: transactionId === null || transactionId === undefined ? null : parseLsn(transactionId),
      ...(offsets === undefined ? {} : { offsets: offsetMap(offsets) }),
    };
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("cursors is not JSON");
  }
}

function offsetMap(offsets: Record<string, string | number>): Map<number, bigint> {
  return new Map(
    Object.entries(offsets).map(([partition, offset]) => [Number(partition), BigInt(offset)] as const),
  );
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
}

function invalid(detail: string): RejotError {
  return new RejotError("READ_REQUEST_INVALID", { detail });
}

/** A cursor in the form that queries and GET /data-store/cursors have. */
export function cursorJson(cursor: SchemaCursor): unknown {
  const { manifestSlug, name, major } = cursor.schema;
  return {
    schema: { manifest: { slug: manifestSlug }, schema: { name, version: { major } } },
    transactionId: cursor.transactionId,
  };
}
