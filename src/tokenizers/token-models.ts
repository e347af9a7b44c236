import { bytePairs } from "./byte-pairs.js";
import { build, countIn, type Part, textIn } from "./part.js";
import { type TokenModel, unknownId, vocabularyOf } from "./token-model.js";
import { unigram } from "./unigram.js";

/** The model that a tokenizer.json describes. @throws Error for one that is not known. */
export function tokenModelOf(part: Part | null): TokenModel {
  if (part === null) throw new Error("model is missing");
  // Files of before 2020 name no type.
  return build(KINDS, "type" in part ? part : { type: "merges" in part ? "BPE" : "WordPiece", ...part }, "model");
}

const KINDS: Readonly<Record<string, (part: Part) => TokenModel>> = {
  BPE: bytePairs,
  Unigram: unigram,
  WordLevel: (part) => {
    const vocab = vocabularyOf(part.vocab);
    const unknown = textIn(part, "unk_token", "<unk>");
    return { vocab, isBytePairs: false, encode: (piece) => [vocab.get(piece) ?? unknownId(vocab, unknown, piece)] };
  },
  WordPiece: (part) => {
    const vocab = vocabularyOf(part.vocab);
    const unknown = textIn(part, "unk_token", "[UNK]");
    const prefix = textIn(part, "continuing_subword_prefix", "##");
    const longest = countIn(part, "max_input_chars_per_word", 100);
    return {
      vocab,
      isBytePairs: false,
      encode: (piece) => wordPieces(piece, { vocab, prefix, longest }) ?? [unknownId(vocab, unknown, piece)],
    };
  },
};

/** The longest piece that the vocabulary has, again and again (Wu et al. 2016); undefined where it has none. */
function wordPieces(
  word: string,
  { vocab, prefix, longest }: { vocab: ReadonlyMap<string, number>; prefix: string; longest: number },
): number[] | undefined {
  const characters = [...word];
  if (characters.length > longest) return undefined;
  const ids: number[] = [];
  for (let start = 0; start < characters.length; ) {
    let end = characters.length;
    let id: number | undefined;
    for (; end > start && id === undefined; end--) {
      id = vocab.get((start > 0 ? prefix : "") + characters.slice(start, end).join(""));
    }
    if (id === undefined) return undefined;
    ids.push(id);
    start = end + 1;
  }
  return ids;
}
