import type { Spans } from "../chats/assistant-turns.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { IGNORED_LABEL, type TokenLabels } from "./rows.js";

/**
 * Encodes a text as a whole and scores the tokens that hold a character of a span. The ends of a span are found by
 * encoding the text before them, so a token across the border counts as part of the span.
 */
export function encodeScored(tokenizer: Tokenizer, text: string, spans: Spans): TokenLabels {
  const ids = new Int32Array(tokenizer.encode(text));
  return { ids, labels: labelsOf(tokenizer, text, ids, spans) };
}

/**
 * Encodes a text and scores each span from the token with its first character to the first token with its last one, as
 * transformers does (`return_assistant_tokens_mask`).
 */
export function encodeTurns(tokenizer: Tokenizer, text: string, spans: Spans): TokenLabels {
  const ids = new Int32Array(tokenizer.encode(text));
  const starts = tokenStarts(tokenizer, text, ids);
  if (starts === undefined) return { ids, labels: labelsOf(tokenizer, text, ids, spans) };
  const labels = new Int32Array(ids.length).fill(IGNORED_LABEL);
  for (const [start, end] of spans) {
    if (start >= text.length || end === 0) continue;
    const [from, to] = [firstTokenAt(starts, start), firstTokenAt(starts, end - 1) + 1];
    if (from < to) labels.set(ids.subarray(from, to), from);
  }
  return { ids, labels };
}

function labelsOf(tokenizer: Tokenizer, text: string, ids: Int32Array, spans: Spans): Int32Array {
  const labels = new Int32Array(ids.length).fill(IGNORED_LABEL);
  for (const [start, end] of spans) {
    const from = commonTokens(tokenizer, text.slice(0, start), ids).common;
    let to = ids.length;
    if (end < text.length) {
      const before = commonTokens(tokenizer, text.slice(0, end), ids);
      to = before.common === before.length ? before.common : before.common + 1;
    }
    labels.set(ids.subarray(from, to), from);
  }
  return labels;
}

/** Number of tokens of a text's beginning by itself, and how many of them the whole text starts with. */
export function commonTokens(
  tokenizer: Tokenizer,
  beginning: string,
  ids: Int32Array,
): { length: number; common: number } {
  const own = beginning === "" ? [] : tokenizer.encode(beginning);
  let common = 0;
  while (common < own.length && own[common] === ids[common]) common++;
  return { length: own.length, common };
}

/** Tokens that share a character are at most so many: those of its bytes. */
const MAX_SHARED = 8;

/** Texts of tokens by themselves, by id. */
const PIECES = new WeakMap<Tokenizer, (string | undefined)[]>();

/**
 * Where each token begins in the text, in UTF-16 units; tokens that share a character begin together. Undefined if the
 * tokens do not make up the text, since the tokenizer changes it.
 */
function tokenStarts(tokenizer: Tokenizer, text: string, ids: Int32Array): Int32Array | undefined {
  const options = { skipSpecialTokens: false, cleanUpSpaces: false };
  const known = PIECES.get(tokenizer) ?? new Array<string | undefined>(tokenizer.vocabSize);
  PIECES.set(tokenizer, known);
  const pieceOf = (id: number): string => {
    known[id] ??= tokenizer.decode([id], options);
    return known[id];
  };
  const starts = new Int32Array(ids.length);
  if (standAlone(text, ids, pieceOf, starts)) return starts;
  let position = 0;
  for (let first = 0; first < ids.length; ) {
    let [length, tokens] = [shownLength(text, position, pieceOf(ids[first]!)), 1];
    while (length === 0 && tokens < MAX_SHARED && first + tokens < ids.length) {
      tokens++;
      length = shownLength(text, position, tokenizer.decode(ids.subarray(first, first + tokens), options));
    }
    if (length === 0) return undefined;
    starts.fill(position, first, first + tokens);
    position += length;
    first += tokens;
  }
  return position === text.length ? starts : undefined;
}

/** True if the texts of the tokens by themselves make up the text; writes where they begin, and is quick. */
function standAlone(text: string, ids: Int32Array, pieceOf: (id: number) => string, starts: Int32Array): boolean {
  let whole = "";
  for (let index = 0; index < ids.length; index++) {
    const piece = pieceOf(ids[index]!);
    if (piece === "") return false;
    starts[index] = whole.length;
    whole += piece;
  }
  return whole === text;
}

/** Length of a piece in a text; 0 if it does not stand there. */
function shownLength(text: string, position: number, piece: string): number {
  if (text.startsWith(piece, position)) return piece.length;
  // A token that begins with a space loses it where it stands alone.
  return text[position] === " " && text.startsWith(piece, position + 1) ? piece.length + 1 : 0;
}

/** The first of the tokens that hold the character. */
function firstTokenAt(starts: Int32Array, position: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= position) low = middle;
    else high = middle - 1;
  }
  while (low > 0 && starts[low - 1] === starts[low]) low--;
  return low;
}
