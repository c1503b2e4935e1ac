import type { Fault } from "../harness/fault.ts";
import { BROKERS } from "./brokers.ts";
import { CERTIFICATES } from "./certificates.ts";
import { CLOCKS } from "./clocks.ts";
import { COMBINED } from "./combined.ts";
import { DESTINATION } from "./destination.ts";
import { DISK } from "./disk.ts";
import { KAFKA } from "./kafka.ts";
import { NETWORK } from "./network.ts";
import { POISON } from "./poison.ts";
import { POSTGRES } from "./postgres.ts";
import { PROCESSES } from "./processes.ts";
import { REBUILD } from "./rebuild.ts";
import { REGISTRY } from "./registry.ts";
import { transactions } from "./transactions.ts";
import { WAL } from "./wal.ts";

/** Every fault there is; `hugeRows` adds a transaction of so many rows. */
export function allFaults(hugeRows = 0): readonly Fault[] {
  return [
    ...PROCESSES,
    ...NETWORK,
    ...POSTGRES,
    ...REGISTRY,
    ...KAFKA,
    ...transactions(hugeRows),
    ...DESTINATION,
    ...POISON,
    ...BROKERS,
    ...CLOCKS,
    ...CERTIFICATES,
    ...DISK,
    ...WAL,
    ...REBUILD,
    ...COMBINED,
  ];
}
