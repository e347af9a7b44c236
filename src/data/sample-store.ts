import type { StoredBytes } from "#platform";
import { bytesOf, withRoom } from "../base/arrays.js";
import type { Sample } from "./samples.js";
import { partsOf, TokenStore } from "./token-store.js";

/** Tokens of samples in memory: ids and labels each. */
const HELD_TOKENS = 2 ** 22;

/** Samples by their numbers from 0 on, such as an array of them. */
export interface Samples<S = Sample> extends Iterable<S> {
  readonly length: number;
  at(index: number): S | undefined;
}

/** Collects any number of samples, whose tokens need not be in memory. */
export class SampleStore implements Samples {
  #ids: TokenStore;
  #labels: TokenStore;
  /** For each sample: the number of tokens up to its end, its file and its number there. */
  readonly #ends = new Numbers();
  readonly #files = new Numbers();
  readonly #numbers = new Numbers();
  /** Files that samples come from, each with the unit of its records. */
  readonly #sources: Omit<Sample["place"], "number">[] = [];

  /** @param heldTokens most ids, and most labels, in memory. */
  constructor(heldTokens: number = HELD_TOKENS) {
    this.#ids = new TokenStore(heldTokens);
    this.#labels = new TokenStore(heldTokens);
  }

  get length(): number {
    return this.#ends.length;
  }

  /** The largest id or label; 0 if there is none. */
  get largest(): number {
    return Math.max(this.#ids.largest, this.#labels.largest);
  }

  /** Tokens of the longest sample; 0 if there is none. */
  get longest(): number {
    let [longest, before] = [0, 0];
    for (const end of this.#ends.values) [longest, before] = [Math.max(longest, end - before), end];
    return longest;
  }

  append(samples: Iterable<Sample>): void {
    for (const { ids, labels, place } of samples) {
      this.#ids.append(ids);
      this.#labels.append(labels);
      this.#ends.push(this.#ids.length);
      const { path, unit, number } = place;
      const last = this.#sources.at(-1);
      if (last?.path !== path || last.unit !== unit) this.#sources.push({ path, unit });
      this.#files.push(this.#sources.length - 1);
      this.#numbers.push(number);
    }
  }

  /** The arrays of a store in the order of their bytes in a file, and what tells where they end. */
  get stored(): { readonly facts: StoredSamples; readonly bytes: Iterable<Uint8Array> } {
    const numbers = [this.#ends, this.#files, this.#numbers];
    const [ids, labels] = [this.#ids, this.#labels];
    return {
      facts: { tokens: ids.length, samples: this.length, sources: this.#sources },
      bytes: (function* () {
        for (const tokens of [ids, labels]) for (const part of partsOf(tokens)) yield bytesOf(part);
        for (const each of numbers) yield bytesOf(each.values);
      })(),
    };
  }

  /** @throws DataError if the bytes cannot be read; RangeError if they are not those of a store. */
  static ofStored(bytes: StoredBytes, offset: number, { tokens, samples, sources }: StoredSamples): SampleStore {
    const store = new SampleStore();
    store.#ids = TokenStore.stored(bytes, offset, tokens);
    store.#labels = TokenStore.stored(bytes, offset + tokens * Int32Array.BYTES_PER_ELEMENT, tokens);
    let at = offset + 2 * tokens * Int32Array.BYTES_PER_ELEMENT;
    for (const numbers of [store.#ends, store.#files, store.#numbers]) {
      const values = new Float64Array(samples);
      bytes.read(bytesOf(values), at);
      for (const value of values) numbers.push(value);
      at += values.byteLength;
    }
    let before = 0;
    for (let index = 0; index < samples; index++) {
      const [end, file] = [store.#ends.at(index), store.#files.at(index)];
      if (!(end >= before && end <= tokens && sources[file] !== undefined)) throw new RangeError(`sample ${index}`);
      before = end;
    }
    for (const source of sources) store.#sources.push(source);
    return store;
  }

  at(index: number): Sample | undefined {
    if (!(index >= 0 && index < this.length)) return undefined;
    const [start, end] = [index === 0 ? 0 : this.#ends.at(index - 1), this.#ends.at(index)];
    return {
      ids: this.#ids.subarray(start, end),
      labels: this.#labels.subarray(start, end),
      place: { ...this.#sources[this.#files.at(index)]!, number: this.#numbers.at(index) },
    };
  }

  *[Symbol.iterator](): Generator<Sample, void> {
    for (let index = 0; index < this.length; index++) yield this.at(index)!;
  }
}

/** Sizes of a store in a file: ids and labels of 4 bytes, then three numbers of 8 bytes for each sample. */
export interface StoredSamples {
  readonly tokens: number;
  readonly samples: number;
  readonly sources: readonly Omit<Sample["place"], "number">[];
}

/** The samples as they are used, each made of one that is kept. */
export class SampleView implements Samples {
  readonly #samples: Samples;
  readonly #change: (sample: Sample) => Sample;

  constructor(samples: Samples, change: (sample: Sample) => Sample) {
    this.#samples = samples;
    this.#change = change;
  }

  get length(): number {
    return this.#samples.length;
  }

  at(index: number): Sample | undefined {
    const sample = this.#samples.at(index);
    return sample === undefined ? undefined : this.#change(sample);
  }

  *[Symbol.iterator](): Generator<Sample, void> {
    for (const sample of this.#samples) yield this.#change(sample);
  }
}

/** A list of numbers that takes 8 bytes for each. */
class Numbers {
  #values: Float64Array = new Float64Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    this.#values = withRoom(this.#values, this.#length + 1);
    this.#values[this.#length++] = value;
  }

  get values(): Float64Array {
    return this.#values.subarray(0, this.#length);
  }

  at(index: number): number {
    return this.#values[index]!;
  }
}
