import type { AvroRecord } from "../avro-types.ts";

/** The Avro schemas of one version of a public schema: of the record's key, and of its value. */
export interface Contract {
  readonly key: AvroRecord;
  readonly value: AvroRecord;
}

/** Whom a change breaks: consumers that read new events with the old schema, or old events with the new one. */
export type Broken = "old-readers" | "new-readers";

export type ChangeKind =
  | "field-added"
  | "field-removed"
  | "field-renamed"
  | "nullable"
  | "not-nullable"
  | "type-changed"
  | "meaning-changed"
  | "enum-value-added"
  | "enum-value-removed"
  | "enum-default-changed"
  | "alternative-added"
  | "alternative-removed"
  | "name-changed"
  | "default-changed"
  | "fields-reordered"
  | "doc-changed"
  | "optional-changed"
  | "key-changed";

/** One difference between two versions of a public schema, and what follows from it. */
export interface SchemaChange {
  readonly part: "key" | "value";
  /** Where: `email`, `address.city`, `lines[]` (a list's items), `tags{}` (a map's values); "" for the record itself. */
  readonly path: string;
  readonly kind: ChangeKind;
  /** What changed and why it breaks whom, one sentence without the schema's name. */
  readonly message: string;
  /** Empty for a compatible change. */
  readonly breaks: readonly Broken[];
  /** What this change needs. */
  readonly bump: "none" | "minor" | "major";
  /**
   * Set when Avro, and so the registry, would let the change pass, and why it is one that breaks consumers all the
   * same: the bytes can be read, but mean something else.
   */
  readonly beyondAvro?: string;
}
