import { BYTE_CHARACTERS } from "./byte-level.js";

/** Parts of a tokenizer.json that show if its model is a plain byte-level BPE. */
export interface BytePairModel {
  normalizer?: unknown;
  pre_tokenizer?: { type?: string; add_prefix_space?: boolean; use_regex?: boolean } | null;
  model?: {
    type?: string;
    ignore_merges?: boolean;
    end_of_word_suffix?: string | null;
    continuing_subword_prefix?: string | null;
    vocab?: Readonly<Record<string, number>>;
    merges?: readonly (string | readonly [string, string])[];
  };
}

/**
 * Splits one pre-token into tokens of a byte-level BPE: the lowest-ranked, leftmost pair is merged until none is left.
 */
export class BytePairEncoder {
  readonly #byteIds: readonly number[];
  readonly #ranks: Map<number, number> = new Map();
  readonly #mergedIds: number[] = [];
  readonly #textEncoder = new TextEncoder();

  private constructor(byteIds: readonly number[]) {
    this.#byteIds = byteIds;
  }

  /** An encoder for a tokenizer.json that only splits text by `PRE_TOKEN_PATTERN`; undefined for others. */
  static of({ normalizer, pre_tokenizer, model }: BytePairModel): BytePairEncoder | undefined {
    const isByteLevel =
      !normalizer &&
      pre_tokenizer?.type === "ByteLevel" &&
      !pre_tokenizer.add_prefix_space &&
      pre_tokenizer.use_regex !== false;
    const isPlain =
      model?.type === "BPE" && !model.ignore_merges && !model.end_of_word_suffix && !model.continuing_subword_prefix;
    if (!isByteLevel || !isPlain) return undefined;
    const ids = new Map(Object.entries(model.vocab ?? {}));
    const byteIds = BYTE_CHARACTERS.map((character) => ids.get(character));
    if (!byteIds.every((id) => id !== undefined)) return undefined;
    const encoder = new BytePairEncoder(byteIds);
    for (const merge of model.merges ?? []) {
      const [left, right] = (typeof merge === "string" ? merge.split(" ") : merge) as [string, string];
      const [leftId, rightId, id] = [ids.get(left), ids.get(right), ids.get(left + right)];
      if (leftId === undefined || rightId === undefined || id === undefined) return undefined;
      encoder.#ranks.set(pairKey(leftId, rightId), encoder.#mergedIds.push(id) - 1);
    }
    return encoder;
  }

  /** Encodes a pre-token, in time quadratic in its length. */
  encodeWord(word: string): number[] {
    const ids = Array.from(this.#textEncoder.encode(word), (byte) => this.#byteIds[byte]!);
    for (;;) {
      let lowest = Number.POSITIVE_INFINITY;
      let at = -1;
      for (let i = 1; i < ids.length; i++) {
        const rank = this.#ranks.get(pairKey(ids[i - 1]!, ids[i]!));
        if (rank !== undefined && rank < lowest) {
          lowest = rank;
          at = i - 1;
        }
      }
      if (at < 0) return ids;
      ids.splice(at, 2, this.#mergedIds[lowest]!);
    }
  }
}

function pairKey(left: number, right: number): number {
  return left * 2 ** 26 + right;
}
