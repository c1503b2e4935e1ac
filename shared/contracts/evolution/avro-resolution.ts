import type { AvroPrimitiveName } from "../avro-types.ts";
import type { ResolvedField, ResolvedRecord, ResolvedType } from "./resolved-type.ts";

/** What a primitive reads beside itself: promotions, and text and bytes for each other. */
const PROMOTIONS: Partial<Record<AvroPrimitiveName, readonly AvroPrimitiveName[]>> = {
  long: ["int"],
  float: ["int", "long"],
  double: ["int", "long", "float"],
  bytes: ["string"],
  string: ["bytes"],
};

/**
 * Whether everything written with one type can be read as another: the rules of Avro's specification ("Schema
 * Resolution"), as Java's SchemaCompatibility, and so every registry, applies them.
 */
export function canRead(reader: ResolvedType, writer: ResolvedType): boolean {
  if (writer.kind === "union") return writer.branches.every((branch) => canRead(reader, branch));
  if (reader.kind === "union") return reader.branches.some((branch) => canRead(branch, writer));
  switch (reader.kind) {
    case "primitive":
      return (
        writer.kind === "primitive" &&
        (reader.primitive === writer.primitive ||
          PROMOTIONS[reader.primitive]?.includes(writer.primitive) === true)
      );
    case "array":
      return writer.kind === "array" && canRead(reader.items, writer.items);
    case "map":
      return writer.kind === "map" && canRead(reader.values, writer.values);
    case "fixed":
      return writer.kind === "fixed" && isNamedAs(reader, writer) && reader.size === writer.size;
    case "enum":
      return (
        writer.kind === "enum" &&
        isNamedAs(reader, writer) &&
        (reader.defaultSymbol !== undefined ||
          writer.symbols.every((symbol) => reader.symbols.includes(symbol)))
      );
    case "record":
      return writer.kind === "record" && isNamedAs(reader, writer) && canFill(reader, writer);
  }
}

function canFill(reader: ResolvedRecord, writer: ResolvedRecord): boolean {
  return reader.fields.every((field) => {
    const written = writtenField(field, writer);
    return written === undefined ? field.hasDefault : canRead(field.type, written.type);
  });
}

/** The writer's field that a reader's field takes its value from: by name, or by one of its aliases. */
export function writtenField(field: ResolvedField, writer: ResolvedRecord): ResolvedField | undefined {
  return (
    writer.fields.find((candidate) => candidate.name === field.name) ??
    writer.fields.find((candidate) => field.aliases.includes(candidate.name))
  );
}

/** Whether a reader takes a named type of a writer for its own: by unqualified name, or by an alias. */
export function isNamedAs(
  reader: { name: string; aliases: readonly string[] },
  writer: { name: string; fullName: string },
): boolean {
  return reader.name === writer.name || reader.aliases.includes(writer.fullName);
}
