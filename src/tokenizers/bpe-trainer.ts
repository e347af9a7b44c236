import { ConfigError } from "../base/errors.js";
import { evenSample, utf8Length } from "../base/even-sample.js";
import { sum } from "../base/numbers.js";
import { BYTE_CHARACTERS, PRE_TOKEN_PATTERN } from "./byte-level.js";
import { type Pair, PairHeap } from "./pair-heap.js";
import { byteLevelTokenizerJson, type TokenizerJson } from "./tokenizer-json.js";

export interface BytePairEncodingOptions {
  /** Number of ids, including special tokens and the 256 bytes. Fewer result when no pair is frequent enough. */
  vocabSize: number;
  /** These get the first ids, in this order, as in Hugging Face's own trainer. The first one ends a text. */
  specialTokens?: readonly string[];
  /** A pair that occurs less often is not merged. */
  minFrequency?: number;
  /** Learn from about this many bytes of text, in documents spread evenly over all. Default: everything. */
  sampleBytes?: number;
}

/**
 * Learns a byte-level byte-pair encoding (Sennrich et al. 2016; bytes as in GPT-2, Radford et al. 2019), so that every
 * text has an encoding that decodes to itself. Ids: special tokens, the 256 bytes in the order of their characters,
 * then merges as learned. The same documents in any order give the same result: among equally frequent pairs the one
 * with the lower left id, then the lower right id, is merged first.
 * @throws ConfigError if `vocabSize` has no room for special tokens and bytes, or `minFrequency` is below 1.
 */
export function trainBytePairEncoding(documents: Iterable<string>, options: BytePairEncodingOptions): TokenizerJson {
  const { vocabSize, specialTokens = ["<|endoftext|>"], minFrequency = 2, sampleBytes } = options;
  checkOptions(vocabSize, specialTokens, minFrequency);

  const tokens = [...specialTokens, ...[...BYTE_CHARACTERS].sort()];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const words = countWords(sampleBytes === undefined ? documents : sampleEvenly(documents, sampleBytes));
  const pairs = new PairTable(words, ids);

  const merges: [string, string][] = [];
  const merged = new Set<Pair>();
  while (tokens.length < vocabSize) {
    const pair = pairs.mostFrequent();
    if (pair === undefined || pair.count < minFrequency) break;
    const left = tokens[pair.left]!;
    const right = tokens[pair.right]!;
    // Two merges can spell the same token ("a" + "bc", "ab" + "c"). It keeps its first id, so a pair can come back.
    const id = ids.get(left + right) ?? tokens.length;
    if (id === tokens.length) {
      tokens.push(left + right);
      ids.set(left + right, id);
    }
    if (!merged.has(pair)) merges.push([left, right]);
    merged.add(pair);
    pairs.merge(pair, id);
  }
  return byteLevelTokenizerJson(tokens, merges, specialTokens);
}

function checkOptions(vocabSize: number, specialTokens: readonly string[], minFrequency: number): void {
  const faults: string[] = [];
  const least = BYTE_CHARACTERS.length + specialTokens.length;
  if (!Number.isInteger(vocabSize) || vocabSize < least) {
    const why = `256 bytes and ${specialTokens.length} special tokens`;
    faults.push(`vocabSize must be an integer of at least ${least} (${why}), got ${vocabSize}`);
  }
  if (!(minFrequency >= 1)) faults.push(`minFrequency must be at least 1, got ${minFrequency}`);
  if (specialTokens.length === 0 || specialTokens.includes("") || new Set(specialTokens).size < specialTokens.length) {
    const got = JSON.stringify(specialTokens);
    faults.push(`specialTokens must be at least one non-empty string, none of them twice, got ${got}`);
  }
  if (faults.length > 0) throw new ConfigError(`trainBytePairEncoding: ${faults.join("; ")}`);
}

function* sampleEvenly(documents: Iterable<string>, sampleBytes: number): Generator<string> {
  const all = [...documents];
  const isChosen = evenSample(sampleBytes, sum(all.map(utf8Length)));
  for (const [index, document] of all.entries()) if (isChosen(index)) yield document;
}

/** Counts the occurrences of each pre-token. */
function countWords(documents: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const document of documents) {
    for (const word of document.match(PRE_TOKEN_PATTERN) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** The words as sequences of token ids, and their pairs with counts that stay right while merging. */
class PairTable {
  /** All words one after another: word i has `#lengths[i]` ids from `#starts[i]` on. */
  readonly #ids: Int32Array;
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];
  readonly #frequencies: number[] = [];
  readonly #pairs: Map<number, Pair> = new Map();
  readonly #heap: PairHeap = new PairHeap();
  /** Pairs whose count rose since the last look at the heap. */
  readonly #risen: Set<Pair> = new Set();

  constructor(words: ReadonlyMap<string, number>, tokenIds: ReadonlyMap<string, number>) {
    const byteIds = BYTE_CHARACTERS.map((character) => tokenIds.get(character)!);
    const encoder = new TextEncoder();
    const ids: number[] = [];
    for (const [text, frequency] of words) {
      const word = this.#starts.push(ids.length) - 1;
      const bytes = encoder.encode(text);
      this.#lengths.push(bytes.length);
      this.#frequencies.push(frequency);
      for (const [i, byte] of bytes.entries()) {
        const id = byteIds[byte]!;
        if (i > 0) this.#add(ids.at(-1)!, id, word);
        ids.push(id);
      }
    }
    this.#ids = Int32Array.from(ids);
  }

  mostFrequent(): Pair | undefined {
    for (const pair of this.#risen) this.#heap.push(pair);
    this.#risen.clear();
    return this.#heap.pop();
  }

  /** Replaces the pair by `id` in every word, from left to right. */
  merge({ left, right, words }: Pair, id: number): void {
    const ids = this.#ids;
    for (const word of words) {
      const start = this.#starts[word]!;
      const end = start + this.#lengths[word]!;
      let write = start;
      for (let read = start; read < end; read++) {
        if (ids[read] !== left || read + 1 === end || ids[read + 1] !== right) {
          ids[write++] = ids[read]!;
          continue;
        }
        if (write > start) {
          this.#remove(ids[write - 1]!, left, word);
          this.#add(ids[write - 1]!, id, word);
        }
        if (read + 2 < end) {
          this.#remove(right, ids[read + 2]!, word);
          this.#add(id, ids[read + 2]!, word);
        }
        this.#remove(left, right, word);
        ids[write++] = id;
        read++;
      }
      this.#lengths[word] = write - start;
    }
    words.length = 0;
  }

  #add(left: number, right: number, word: number): void {
    const key = left * 2 ** 26 + right;
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = { left, right, count: 0, words: [] };
      this.#pairs.set(key, pair);
    }
    pair.count += this.#frequencies[word]!;
    if (pair.words.at(-1) !== word) pair.words.push(word);
    this.#risen.add(pair);
  }

  #remove(left: number, right: number, word: number): void {
    this.#pairs.get(left * 2 ** 26 + right)!.count -= this.#frequencies[word]!;
  }
}
