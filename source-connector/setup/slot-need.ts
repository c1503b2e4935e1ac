import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import type { SlotState } from "./postgres-setup.ts";

/** What is to be done about the slot before it can be streamed from. */
export type SlotNeed = "nothing" | "create" | "replace" | "give up";

/** What is known of the slot, and of what was published. */
export interface SlotKnown {
  readonly onSlotLost: "stop" | "rebuild";
  readonly slot: SlotState | undefined;
  /** Whether any source has ever been here: then a slot that is missing has taken changes with it. */
  readonly everPublished: boolean;
  readonly progress: Pick<ProgressRecord, "endLsn"> | undefined;
  /** What was published is not in this server's history. */
  readonly replaced: boolean;
}

/**
 * Decides what to do about the slot. One that begins behind everything published can be rebuilt from, whoever made it:
 * a source that died between making the slot and noting it left it so.
 */
export function slotNeed({ onSlotLost, slot, everPublished, progress, replaced }: SlotKnown): SlotNeed {
  const lasting = onSlotLost === "rebuild" ? undefined : "give up";
  if (slot === undefined) return everPublished ? (lasting ?? "create") : "create";
  if (slot.lost !== null) return lasting ?? "replace";
  // While another process makes it, it has no LSN yet.
  const isBehind = progress !== undefined && slot.confirmedLsn > 0n && slot.confirmedLsn < progress.endLsn;
  return replaced && isBehind ? (lasting ?? "replace") : "nothing";
}
