import { RejotError } from "../../shared/errors/error.ts";

/** Where an event stands in Kafka; with a consumer schema it names a dead letter. */
export interface EventId {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** `accounts.account.v1/0/17`: topic, partition and offset of the event. */
export function formatLetterId({ topic, partition, offset }: EventId): string {
  return `${topic}/${partition}/${offset}`;
}

/** Reads what `formatLetterId` writes. Throws USAGE. */
export function parseLetterId(text: string): EventId {
  const [, topic, partition, offset] = /^([^/]+)\/(\d{1,9})\/(\d{1,15})$/.exec(text) ?? [];
  if (topic === undefined)
    throw new RejotError("USAGE", { detail: `"${text}" is no dead letter's id; one looks like topic/0/17` });
  return { topic, partition: Number(partition), offset: Number(offset) };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time (ISO 8601, UTC unless it says otherwise), or how long ago: `90s`, `30m`, `2h`, `7d`. Throws USAGE. */
export function parseSince(text: string, now: Date): Date {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined)
    return new Date(now.getTime() - Number(count) * (UNIT_MS[unit] ?? 0));
  const isIso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text);
  const zoned = /T.*(Z|[+-]\d\d:\d\d)$/.test(text) || !text.includes("T") ? text : `${text}Z`;
  const time = new Date(isIso ? zoned : Number.NaN);
  if (Number.isNaN(time.getTime()))
    throw new RejotError("USAGE", {
      detail: `"${text}" is neither a time (2026-01-31T18:00Z) nor how long ago (30m, 2h, 7d)`,
    });
  return time;
}
