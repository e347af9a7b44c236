// DEFLATE (RFC 1951) and gzip (RFC 1952). A browser decompresses only streams, of which a page of Parquet is none, and
// takes neither several members nor the zeros that may follow them.

/** Longest code of a symbol, in bits. */
const MAX_BITS = 15;
const END_OF_BLOCK = 256;
/** Order in which the lengths of the codes of lengths are stored. */
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BITS = Array.from({ length: 30 }, (_, i) => Math.max(0, (i >> 1) - 1));
/** 3, 4, …, 11, 13, … The last has no bits of its own. */
const LENGTHS = [...basesOf(LENGTH_BITS.slice(0, -1), 3), 258];
const DISTANCES = basesOf(DISTANCE_BITS, 1);

function basesOf(bits: readonly number[], first: number): number[] {
  let base = first;
  return bits.map((count) => {
    const own = base;
    base += 2 ** count;
    return own;
  });
}

/** The symbols of a prefix code by the next `bits` bits of the input: 16 · symbol + length; 0 for none. */
interface Code {
  readonly bits: number;
  readonly symbols: Uint16Array;
}

/** @param isPartial true for codes that may leave words unused: distances of at most one. */
function codeOf(lengths: Uint8Array, isPartial = false): Code {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (const length of lengths) counts[length]!++;
  counts[0] = 0;
  const next = new Uint16Array(MAX_BITS + 2);
  let [free, used] = [1, 0];
  for (let length = 1; length <= MAX_BITS; length++) {
    next[length + 1] = (next[length]! + counts[length]!) << 1;
    free = 2 * free - counts[length]!;
    used += counts[length]!;
    if (free < 0) throw new Error("a code is over-subscribed");
  }
  if (free > 0 && !(isPartial && used <= 1)) throw new Error("a code is incomplete");
  const bits = Math.max(
    1,
    counts.findLastIndex((count) => count > 0),
  );
  const symbols = new Uint16Array(2 ** bits);
  for (const [symbol, length] of lengths.entries()) {
    if (length === 0) continue;
    const word = reversed(next[length]!++, length);
    for (let at = word; at < symbols.length; at += 2 ** length) symbols[at] = 16 * symbol + length;
  }
  return { bits, symbols };
}

function reversed(word: number, length: number): number {
  let result = 0;
  for (let i = 0; i < length; i++) result = (result << 1) | ((word >> i) & 1);
  return result;
}

const FIXED_LENGTHS = Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
const FIXED = { literals: codeOf(FIXED_LENGTHS), distances: codeOf(new Uint8Array(32).fill(5)) };

/** Bytes of unknown number, which grow up to a limit. */
class Output {
  bytes: Uint8Array;
  length = 0;
  readonly #maxLength: number;

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
    this.bytes = new Uint8Array(Math.min(maxLength, 2 ** 16));
  }

  /** Makes room for so many more. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed > this.#maxLength) throw new Error(`it holds more than ${this.#maxLength} bytes`);
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.min(this.#maxLength, Math.max(needed, 2 * this.bytes.length)));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

class Inflater {
  readonly #input: Uint8Array;
  readonly #output: Output;
  /** Place of the next byte to be read. */
  #at: number;
  /** Bits that were read and not used, from the lowest on. */
  #held = 0;
  #heldBits = 0;

  constructor(input: Uint8Array, at: number, output: Output) {
    [this.#input, this.#at, this.#output] = [input, at, output];
  }

  /** Appends all blocks. Returns the place behind them. */
  run(): number {
    const start = this.#output.length;
    for (let isLast = false; !isLast; ) {
      isLast = this.#take(1) === 1;
      const kind = this.#take(2);
      if (kind === 0) this.#copyStored();
      else if (kind === 1) this.#decode(FIXED.literals, FIXED.distances, start);
      else if (kind === 2) this.#decodeDynamic(start);
      else throw new Error("a block is of no kind");
    }
    return this.#at - (this.#heldBits >> 3);
  }

  /** Holds at least so many bits, with zeros behind the end of the input. */
  #hold(count: number): void {
    while (this.#heldBits < count) {
      this.#held |= (this.#input[this.#at++] ?? 0) << this.#heldBits;
      this.#heldBits += 8;
    }
  }

  #drop(count: number): void {
    this.#held >>>= count;
    this.#heldBits -= count;
    if (this.#at - (this.#heldBits >> 3) > this.#input.length) throw new Error("it ends too early");
  }

  #take(count: number): number {
    this.#hold(count);
    const value = this.#held & (2 ** count - 1);
    this.#drop(count);
    return value;
  }

  #symbol({ bits, symbols }: Code): number {
    this.#hold(bits);
    const entry = symbols[this.#held & (2 ** bits - 1)]!;
    if (entry === 0) throw new Error("a word is of no code");
    this.#drop(entry & 15);
    return entry >> 4;
  }

  #copyStored(): void {
    this.#drop(this.#heldBits & 7);
    const [length, check] = [this.#take(16), this.#take(16)];
    if (length !== (check ^ 0xffff)) throw new Error("the length of a block does not fit its check");
    const start = this.#at - (this.#heldBits >> 3);
    [this.#held, this.#heldBits, this.#at] = [0, 0, start + length];
    if (this.#at > this.#input.length) throw new Error("it ends too early");
    this.#output.reserve(length);
    this.#output.bytes.set(this.#input.subarray(start, this.#at), this.#output.length);
    this.#output.length += length;
  }

  #decodeDynamic(start: number): void {
    const [literals, distances, count] = [257 + this.#take(5), 1 + this.#take(5), 4 + this.#take(4)];
    if (literals > 286 || distances > 30) throw new Error("a block has too many symbols");
    const ofLengths = new Uint8Array(19);
    for (let i = 0; i < count; i++) ofLengths[LENGTH_ORDER[i]!] = this.#take(3);
    const code = codeOf(ofLengths);
    const lengths = new Uint8Array(literals + distances);
    for (let i = 0; i < lengths.length; ) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw new Error("a length repeats none");
      const value = symbol === 16 ? lengths[i - 1]! : 0;
      const end = i + (symbol === 18 ? 11 + this.#take(7) : 3 + this.#take(symbol === 16 ? 2 : 3));
      if (end > lengths.length) throw new Error("there are more lengths than symbols");
      lengths.fill(value, i, end);
      i = end;
    }
    if (lengths[END_OF_BLOCK] === 0) throw new Error("a block has no end");
    this.#decode(codeOf(lengths.subarray(0, literals), true), codeOf(lengths.subarray(literals), true), start);
  }

  #decode(literals: Code, distances: Code, start: number): void {
    const output = this.#output;
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol === END_OF_BLOCK) return;
      if (symbol < END_OF_BLOCK) {
        output.reserve(1);
        output.bytes[output.length++] = symbol;
        continue;
      }
      const length = this.#number(symbol - 257, LENGTHS, LENGTH_BITS);
      const distance = this.#number(this.#symbol(distances), DISTANCES, DISTANCE_BITS);
      if (distance > output.length - start) throw new Error("a repetition begins before the start");
      output.reserve(length);
      const { bytes } = output;
      // Byte by byte, as a repetition may overlap itself.
      for (let end = output.length + length; output.length < end; output.length++) {
        bytes[output.length] = bytes[output.length - distance]!;
      }
    }
  }

  #number(symbol: number, bases: readonly number[], bits: readonly number[]): number {
    if (symbol >= bases.length) throw new Error("a symbol has no meaning");
    return bases[symbol]! + this.#take(bits[symbol]!);
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let k = 0; k < 8; k++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** The CRC-32 of bytes; `before` is that of those in front of them. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let value = ~before;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255]! ^ (value >>> 8);
  return ~value >>> 0;
}

const [HAS_CHECK, HAS_EXTRA, HAS_NAME, HAS_COMMENT, RESERVED] = [2, 4, 8, 16, 0xe0];

/** The place behind the header of a member. */
function afterHeader(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== 0x1f || bytes[start + 1] !== 0x8b) throw new Error("incorrect header check");
  const flags = bytes[start + 3] ?? RESERVED;
  if (bytes[start + 2] !== 8 || (flags & RESERVED) !== 0) throw new Error("its header is of no known kind");
  let at = start + 10;
  if (flags & HAS_EXTRA) at += 2 + (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
  for (const flag of [HAS_NAME, HAS_COMMENT]) {
    if (flags & flag) at = bytes.indexOf(0, at) + 1 || bytes.length + 1;
  }
  if (flags & HAS_CHECK) {
    if (readUint32(bytes, at) % 2 ** 16 !== crc32(bytes.subarray(start, at)) % 2 ** 16) {
      throw new Error("its header is damaged");
    }
    at += 2;
  }
  return at;
}

function readUint32(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = 256 * value + (bytes[at + i] ?? 0);
  return value;
}

/**
 * All members of a gzip file. As in Python, zeros may follow each.
 * @param maxLength most bytes that may come out.
 * @throws Error that says what is wrong with the bytes.
 */
export function gunzip(bytes: Uint8Array, maxLength: number): Uint8Array {
  const output = new Output(maxLength);
  let at = 0;
  do {
    const start = output.length;
    at = new Inflater(bytes, afterHeader(bytes, at), output).run();
    if (at + 8 > bytes.length) throw new Error("it ends too early");
    const member = output.bytes.subarray(start, output.length);
    if (readUint32(bytes, at) !== crc32(member)) throw new Error("its content does not fit its checksum");
    if (readUint32(bytes, at + 4) !== member.length) throw new Error("its content does not fit its length");
    at += 8;
    while (bytes[at] === 0) at++;
  } while (at < bytes.length);
  return output.bytes.subarray(0, output.length);
}
