import { isObject, shownValue } from "../base/json.js";

/** Gives the pieces of a text their tokens. */
export interface TokenModel {
  /** Ids by token. */
  readonly vocab: ReadonlyMap<string, number>;
  /** True for byte-pair encoding, whose decoded text is never cleaned up. */
  readonly isBytePairs: boolean;
  /** @throws Error for a piece that has no token, where the model has none for the unknown. */
  encode(piece: string): readonly number[];
}

/** Ids must stay below this; otherwise a file of a few bytes could make arrays and embeddings of any size. */
export const MAX_VOCAB_SIZE: number = 2 ** 22;

/** @throws Error unless it is a token's id. */
export function requireId(token: unknown, id: unknown): asserts id is number {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < MAX_VOCAB_SIZE) return;
  const rule = `an integer from 0 to ${MAX_VOCAB_SIZE - 1}`;
  throw new Error(`the id of ${shownValue(token)} must be ${rule}, not ${shownValue(id)}`);
}

/** @throws Error unless it is an object of ids. */
export function vocabularyOf(vocab: unknown): Map<string, number> {
  if (!isObject(vocab)) throw new Error(`vocab must be an object of ids, not ${shownValue(vocab)}`);
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(vocab)) {
    requireId(token, id);
    ids.set(token, id);
  }
  return ids;
}

/** The id for what the vocabulary lacks. @throws Error if there is none. */
export function unknownId(vocab: ReadonlyMap<string, number>, unknown: string | undefined, piece: string): number {
  const id = unknown === undefined ? undefined : vocab.get(unknown);
  if (id !== undefined) return id;
  throw new Error(`the vocabulary has no token for ${shownValue(piece)}`);
}

const encoder = new TextEncoder();

/** Spells a text by tokens such as <0x0A>; gives undefined if one of them is missing. */
export function byteTokens(vocab: ReadonlyMap<string, number>): (text: string) => readonly number[] | undefined {
  const ids = Array.from({ length: 256 }, (_, byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  return (text) => {
    const spelled = Array.from(encoder.encode(text), (byte) => ids[byte]);
    return spelled.every((id) => id !== undefined) ? spelled : undefined;
  };
}
