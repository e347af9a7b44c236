import { shownValue } from "../base/json.js";
import { flagIn, type Part } from "./part.js";
import { byteTokens, MAX_VOCAB_SIZE, type TokenModel } from "./token-model.js";
import { type TrieNode, trieOf } from "./trie.js";

/** Cost of an unknown character beyond the least likely token. */
const UNKNOWN_PENALTY = 10;

/** The likeliest split into tokens (Kudo 2018). */
export function unigram(part: Part): TokenModel {
  const entries = entriesOf(part.vocab);
  const vocab = new Map(entries.map(([token], id) => [token, id]));
  const unknown = part.unk_id ?? null;
  if (unknown !== null && !(Number.isInteger(unknown) && (unknown as number) in entries)) {
    throw new Error(`unk_id must be the place of a token in vocab, not ${shownValue(unknown)}`);
  }
  const bytes = flagIn(part, "byte_fallback", false) ? byteTokens(vocab) : undefined;
  const unknownScore = entries.reduce((least, [, score]) => Math.min(least, score), 0) - UNKNOWN_PENALTY;
  const root = trieOf(entries.map(([token], id) => [codesOf(token), id]));

  /** For each place in the word, where the best last token before it starts, and its id or -1. */
  const bestPaths = (word: string): { starts: Int32Array; ids: Int32Array } => {
    const [starts, ids] = [new Int32Array(word.length + 1).fill(-1), new Int32Array(word.length + 1)];
    const scores = new Float64Array(word.length + 1);
    const offer = (start: number, end: number, id: number, score: number): void => {
      if (starts[end]! >= 0 && score <= scores[end]!) return;
      starts[end] = start;
      ids[end] = id;
      scores[end] = score;
    };
    for (let start = 0; start < word.length; ) {
      const width = word.codePointAt(start)! > 0xffff ? 2 : 1;
      let isCovered = false;
      let node: TrieNode<number, number> | undefined = root;
      for (let end = start; end < word.length; ) {
        const code = word.codePointAt(end)!;
        node = node.children.get(code);
        if (node === undefined) break;
        end += code > 0xffff ? 2 : 1;
        const { value: id } = node;
        if (id === undefined) continue;
        offer(start, end, id, scores[start]! + entries[id]![1]);
        isCovered ||= end - start === width;
      }
      if (!isCovered) offer(start, start + width, -1, scores[start]! + unknownScore);
      start += width;
    }
    return { starts, ids };
  };

  const unknownOf = (text: string): readonly number[] => {
    const spelled = bytes?.(text);
    if (spelled !== undefined) return spelled;
    if (unknown !== null) return [unknown as number];
    throw new Error(`the vocabulary has no token for ${shownValue(text)}`);
  };

  const encode = (word: string): readonly number[] => {
    const { starts, ids } = bestPaths(word);
    const parts: (readonly number[])[] = [];
    for (let end = word.length; end > 0; ) {
      let start = starts[end]!;
      if (isUnknown(ids[end]!)) {
        while (start > 0 && isUnknown(ids[start]!)) start = starts[start]!;
        const text = word.slice(start, end);
        const id = vocab.get(text);
        parts.push(id === undefined ? unknownOf(text) : [id]);
      } else parts.push([ids[end]!]);
      end = start;
    }
    return parts.reverse().flat();
  };
  const isUnknown = (id: number): boolean => id < 0 || id === unknown;
  return { vocab, isBytePairs: false, encode };
}

/** @throws Error unless it is a list of tokens and their scores. */
function entriesOf(vocab: unknown): (readonly [string, number])[] {
  if (!Array.isArray(vocab) || vocab.length > MAX_VOCAB_SIZE) {
    throw new Error(`vocab must be a list of tokens and their scores, not ${shownValue(vocab)}`);
  }
  for (const entry of vocab) {
    const [token, score, ...rest] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof token !== "string" || typeof score !== "number" || rest.length > 0)
      throw new Error(`vocab must have pairs of a token and its score, not ${shownValue(entry)}`);
  }
  return vocab;
}

function codesOf(token: string): number[] {
  return Array.from(token, (character) => character.codePointAt(0)!);
}
