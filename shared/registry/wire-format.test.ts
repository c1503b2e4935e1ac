import { expect, test } from "vitest";
import { frame, unframe, wirePrefix } from "./wire-format.ts";

test("a record is a zero byte, the schema's id and the Avro bytes", () => {
  const avro = Buffer.from([1, 2, 3]);
  expect(frame(0x01020304, avro)).toEqual(Buffer.from([0, 1, 2, 3, 4, 1, 2, 3]));
  expect(unframe(frame(2 ** 31, avro))).toEqual({ schemaId: 2 ** 31, avro });
  expect(unframe(wirePrefix(7))).toEqual({ schemaId: 7, avro: Buffer.alloc(0) });
});

test.each([[[]], [[0, 0, 0, 0]], [[1, 0, 0, 0, 1, 5]], [[...Buffer.from('{"a":1}')]]])(
  "%j is not in wire format",
  (bytes) => {
    expect(() => unframe(Buffer.from(bytes))).toThrowError(
      expect.objectContaining({ code: "RECORD_UNREADABLE" }),
    );
  },
);
