const SLAB_BYTES = 64 * 1024;
const MAX_ROOM_BYTES = 1024 * 1024;
/** Up to here, twice the number (zigzag) is computed exactly in doubles. */
const FAST_LONG = 2 ** 52;
/** Strings this short have a one-byte length whatever their characters are (at most 3 bytes each, 63 in all). */
const SHORT_STRING = 21;
const MEDIUM_STRING = 4096;
const DOUBLE = new Float64Array(1);
const DOUBLE_BYTES = new Uint8Array(DOUBLE.buffer);

/**
 * Writes Avro's binary encoding into slabs, one record after the other. Records handed out share a slab and are never
 * written over: a slab that is full is left to its records and a new one begun.
 */
export class AvroWriter {
  private buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private start = 0;
  private position = 0;

  /** Begins a record; what was written since the last `finish` is dropped. */
  begin(): void {
    this.position = this.start;
  }

  /** Ends the record and hands out its bytes. */
  finish(): Buffer {
    const record = this.buffer.subarray(this.start, this.position);
    this.start = this.position;
    return record;
  }

  /** Where the record stands, for `rewind`. */
  mark(): number {
    return this.position - this.start;
  }

  /** Drops what was written after the mark. */
  rewind(mark: number): void {
    this.position = this.start + mark;
  }

  private reserve(bytes: number): void {
    if (this.position + bytes <= this.buffer.length) return;
    const written = this.position - this.start;
    const needed = written + bytes;
    // A growing record doubles; a huge one leaves no huge rest for the small ones after it to hold on to.
    const next = Buffer.allocUnsafeSlow(needed + Math.min(Math.max(SLAB_BYTES, needed), MAX_ROOM_BYTES));
    this.buffer.copy(next, 0, this.start, this.position);
    this.buffer = next;
    this.start = 0;
    this.position = written;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.position++] = value;
  }

  /** A long or an int, from an integer within ±2^52; larger ones take `bigLong`. */
  long(value: number): void {
    this.reserve(10);
    const buffer = this.buffer;
    let at = this.position;
    if (value >= -0x20000000 && value < 0x20000000) {
      let bits = (value << 1) ^ (value >> 31);
      while (bits > 0x7f) {
        buffer[at++] = (bits & 0x7f) | 0x80;
        bits >>>= 7;
      }
      buffer[at++] = bits;
    } else if (value > -FAST_LONG && value < FAST_LONG) {
      let rest = value >= 0 ? value * 2 : -value * 2 - 1;
      while (rest >= 0x80000000) {
        buffer[at++] = (rest % 128) | 0x80;
        rest = Math.floor(rest / 128);
      }
      while (rest > 0x7f) {
        buffer[at++] = (rest & 0x7f) | 0x80;
        rest >>>= 7;
      }
      buffer[at++] = rest;
    } else {
      this.bigLong(BigInt(value));
      return;
    }
    this.position = at;
  }

  /** A long of any size. The caller has checked that it fits into 64 bits. */
  bigLong(value: bigint): void {
    this.reserve(10);
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
    while (rest > 0x7fn) {
      this.buffer[this.position++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.buffer[this.position++] = Number(rest);
  }

  double(value: number): void {
    this.reserve(8);
    DOUBLE[0] = value;
    const buffer = this.buffer;
    const at = this.position;
    for (let i = 0; i < 8; i++) buffer[at + i] = DOUBLE_BYTES[i] as number;
    this.position = at + 8;
  }

  string(text: string): void {
    const length = text.length;
    if (length <= SHORT_STRING) {
      this.shortString(text, length);
    } else if (length <= MEDIUM_STRING) {
      this.mediumString(text, length);
    } else {
      const bytes = Buffer.byteLength(text);
      this.long(bytes);
      this.reserve(bytes);
      this.position += this.buffer.write(text, this.position);
    }
  }

  private shortString(text: string, length: number): void {
    this.reserve(1 + 3 * length);
    const buffer = this.buffer;
    const at = this.position + 1;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) {
        const bytes = buffer.write(text, at);
        buffer[at - 1] = bytes << 1;
        this.position = at + bytes;
        return;
      }
      buffer[at + i] = code;
    }
    buffer[at - 1] = length << 1;
    this.position = at + length;
  }

  /** Most text is ASCII: room for its length is left, and made wider in the rare case that the bytes are more. */
  private mediumString(text: string, length: number): void {
    this.reserve(3 + 3 * length);
    const guess = length < 64 ? 1 : 2;
    const at = this.position;
    const bytes = this.buffer.write(text, at + guess);
    const needed = bytes < 64 ? 1 : bytes < 8192 ? 2 : 3;
    if (needed !== guess) this.buffer.copyWithin(at + needed, at + guess, at + guess + bytes);
    this.long(bytes);
    this.position += bytes;
  }

  bytes(value: Buffer): void {
    this.long(value.length);
    this.raw(value);
  }

  /** An unscaled decimal within ±2^47: its length, then its shortest two's complement, big end first. */
  smallDecimal(value: number): void {
    let size = 1;
    for (let limit = 0x80; value >= limit || value < -limit; limit *= 0x100) size++;
    this.reserve(1 + size);
    this.buffer[this.position] = size << 1;
    this.buffer.writeIntBE(value, this.position + 1, size);
    this.position += 1 + size;
  }

  /** Bytes as they are: a prefix, a fixed. */
  raw(value: Buffer): void {
    this.reserve(value.length);
    value.copy(this.buffer, this.position);
    this.position += value.length;
  }

  /** `\x`-hex as Postgres writes bytea, as Avro bytes. */
  hexBytes(text: string, from: number): void {
    const length = (text.length - from) / 2;
    this.long(length);
    this.reserve(length);
    this.buffer.write(text.slice(from), this.position, "hex");
    this.position += length;
  }
}
