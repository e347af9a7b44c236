import { shownValue } from "../base/json.js";
import { append } from "../base/lists.js";
import { flagIn, type Part } from "./part.js";
import { byteTokens, type TokenModel, unknownId, vocabularyOf } from "./token-model.js";

/**
 * Byte-pair encoding (Sennrich et al. 2016): the lowest-ranked, leftmost pair is merged until none is left. A character
 * that has no token is left out where none stands for the unknown.
 */
export function bytePairs(part: Part): TokenModel {
  const vocab = vocabularyOf(part.vocab);
  const prefix = affixOf(part, "continuing_subword_prefix");
  const suffix = affixOf(part, "end_of_word_suffix");
  const merges = mergesOf(part.merges, vocab, prefix.length);
  const unknown = typeof part.unk_token === "string" ? part.unk_token : undefined;
  const fusesUnknown = flagIn(part, "fuse_unk", false);
  const bytes = flagIn(part, "byte_fallback", false) ? byteTokens(vocab) : undefined;
  const ignoresMerges = flagIn(part, "ignore_merges", false);
  if (part.dropout !== null && part.dropout !== undefined && part.dropout !== 0) {
    throw new Error(`dropout must be null: with it a text has other tokens each time, not ${shownValue(part.dropout)}`);
  }

  const symbolsOf = (word: string): number[] => {
    const ids: number[] = [];
    let pending: number | undefined;
    const flush = (): void => {
      if (pending !== undefined) ids.push(pending);
      pending = undefined;
    };
    for (let at = 0; at < word.length; ) {
      const character = String.fromCodePoint(word.codePointAt(at)!);
      const isFirst = at === 0;
      at += character.length;
      const symbol = (isFirst ? "" : prefix) + character + (at === word.length ? suffix : "");
      const id = vocab.get(symbol);
      if (id !== undefined) {
        flush();
        ids.push(id);
        continue;
      }
      // As in the library, these bytes overtake an unknown character that is not written yet.
      const spelled = bytes?.(symbol);
      if (spelled !== undefined) append(ids, spelled);
      else if (unknown !== undefined && !(fusesUnknown && pending !== undefined)) {
        flush();
        pending = unknownId(vocab, unknown, character);
      }
    }
    flush();
    return ids;
  };

  const encode = (word: string): readonly number[] => {
    const whole = ignoresMerges ? vocab.get(word) : undefined;
    return whole !== undefined ? [whole] : merges.apply(symbolsOf(word));
  };
  return { vocab, isBytePairs: true, encode };
}

function affixOf(part: Part, key: string): string {
  const value = part[key] ?? "";
  if (typeof value === "string") return value;
  throw new Error(`${key} must be a text, not ${shownValue(value)}`);
}

/** @throws Error for merges that are none, or of tokens that the vocabulary lacks. */
function mergesOf(given: unknown, vocab: ReadonlyMap<string, number>, prefixLength: number): Merges {
  if (!Array.isArray(given)) throw new Error(`merges must be a list, not ${shownValue(given)}`);
  const merges = new Merges(given.length);
  for (const merge of given as readonly unknown[]) {
    if (typeof merge === "string" && merge.startsWith("#version")) continue;
    const pair: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? (pair as unknown[]) : [];
    if (typeof left !== "string" || typeof right !== "string") {
      throw new Error(`a merge must be of two tokens, not ${shownValue(merge)}`);
    }
    const [leftId, rightId, id] = [vocab.get(left), vocab.get(right), vocab.get(left + right.slice(prefixLength))];
    if (leftId === undefined || rightId === undefined || id === undefined) {
      throw new Error(`the merge ${shownValue(merge)} is of tokens, or gives one, that the vocabulary lacks`);
    }
    merges.add(leftId, rightId, id);
  }
  return merges;
}

/** Most tokens among which the lowest-ranked pair is looked for one by one, which is quicker for so few. */
const FEW = 32;

const NO_RANK = 2 ** 31 - 1;

/** Ranked pairs of tokens and what each becomes. */
class Merges {
  /** By place: the left and the right token of a pair, and its rank. An open-addressing table, half empty. */
  readonly #pairs: Int32Array;
  readonly #ranks: Int32Array;
  readonly #results: Int32Array;
  /** Ranks of neighbours, for few tokens. */
  readonly #neighbours: Int32Array = new Int32Array(FEW);
  #count = 0;

  constructor(most: number) {
    const places = 2 ** Math.ceil(Math.log2(2 * most + 2));
    this.#pairs = new Int32Array(2 * places);
    this.#ranks = new Int32Array(places).fill(NO_RANK);
    this.#results = new Int32Array(most);
  }

  /** A pair that comes twice has the later rank. */
  add(left: number, right: number, result: number): void {
    const place = this.#placeOf(left, right);
    [this.#pairs[2 * place], this.#pairs[2 * place + 1]] = [left, right];
    this.#ranks[place] = this.#count;
    this.#results[this.#count++] = result;
  }

  apply(ids: number[]): readonly number[] {
    return ids.length <= FEW ? this.#applyToFew(ids) : this.#applyToMany(ids);
  }

  /** Rank of a pair; NO_RANK for one that is not merged. */
  #rankOf(left: number, right: number): number {
    return this.#ranks[this.#placeOf(left, right)]!;
  }

  /** The place of a pair, or the empty one for it. */
  #placeOf(left: number, right: number): number {
    const [pairs, ranks] = [this.#pairs, this.#ranks];
    const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    let place = (hash ^ (hash >>> 15)) & (ranks.length - 1);
    while (ranks[place] !== NO_RANK && (pairs[2 * place] !== left || pairs[2 * place + 1] !== right)) {
      place = (place + 1) & (ranks.length - 1);
    }
    return place;
  }

  /** Merges in n² steps for n tokens. */
  #applyToFew(ids: number[]): readonly number[] {
    const ranks = this.#neighbours;
    let last = ids.length - 1;
    for (let at = 0; at < last; at++) ranks[at] = this.#rankOf(ids[at]!, ids[at + 1]!);
    for (;;) {
      let [lowest, position] = [NO_RANK, 0];
      for (let at = 0; at < last; at++) {
        if (ranks[at]! < lowest) [lowest, position] = [ranks[at]!, at];
      }
      if (lowest === NO_RANK) return ids;
      ids[position] = this.#results[lowest]!;
      for (let at = position + 1; at < last; at++) {
        ids[at] = ids[at + 1]!;
        ranks[at] = ranks[at + 1]!;
      }
      last--;
      ids.length = last + 1;
      if (position > 0) ranks[position - 1] = this.#rankOf(ids[position - 1]!, ids[position]!);
      if (position < last) ranks[position] = this.#rankOf(ids[position]!, ids[position + 1]!);
    }
  }

  /** Merges in n log n steps for n tokens. */
  #applyToMany(ids: number[]): readonly number[] {
    const count = ids.length;
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const queue = new Queue();
    const consider = (left: number): void => {
      const right = next[left]!;
      if (left < 0 || right >= count) return;
      const rank = this.#rankOf(ids[left]!, ids[right]!);
      if (rank !== NO_RANK) queue.push(rank, left);
    };
    for (let i = 0; i + 1 < count; i++) consider(i);
    for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
      const { rank, position } = top;
      const right = next[position]!;
      if (ids[position]! < 0 || right >= count) continue;
      // Another pair may stand here since.
      if (this.#rankOf(ids[position]!, ids[right]!) !== rank) continue;
      ids[position] = this.#results[rank]!;
      ids[right] = -1;
      const after = next[right]!;
      next[position] = after;
      if (after < count) previous[after] = position;
      if (previous[position]! >= 0) consider(previous[position]!);
      consider(position);
    }
    return ids.filter((id) => id >= 0);
  }
}

/** A heap of (rank, position), the lowest first. */
class Queue {
  /** rank · 2^26 + position, in heap order. Ranks and positions are below 2^26. */
  readonly #keys: number[] = [];

  push(rank: number, position: number): void {
    const keys = this.#keys;
    const key = rank * 2 ** 26 + position;
    let at = keys.push(key) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[at] = keys[parent]!;
      at = parent;
    }
    keys[at] = key;
  }

  pop(): { rank: number; position: number } | undefined {
    const keys = this.#keys;
    const top = keys[0];
    if (top === undefined) return undefined;
    const last = keys.pop()!;
    if (keys.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= keys.length) break;
        if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
        if (keys[child]! >= last) break;
        keys[at] = keys[child]!;
        at = child;
      }
      keys[at] = last;
    }
    return { rank: Math.floor(top / 2 ** 26), position: top % 2 ** 26 };
  }
}
