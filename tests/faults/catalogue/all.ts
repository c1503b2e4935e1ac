import type { Fault } from "../harness/fault.ts";
import { NETWORK } from "./network.ts";

/** Every fault there is. */
export const FAULTS: readonly Fault[] = [...NETWORK];
