/** The larger of two offsets. (Math.max takes no bigint.) */
export function atLeast(offset: bigint, floor: bigint): bigint {
  if (offset < floor) return floor;
  return offset;
}

/** The smaller of two offsets. */
export function atMost(offset: bigint, ceiling: bigint): bigint {
  if (offset > ceiling) return ceiling;
  return offset;
}
