import { trainBytePairEncoding } from "./bpe-trainer.js";
import { Tokenizer } from "./tokenizer.js";
import { tokenizerConfigJson } from "./tokenizer-json.js";

const END_OF_TEXT = "<|endoftext|>";

/** Text to learn a tokenizer from: enough for its merges, and a matter of seconds. */
export const SAMPLE_BYTES = 4_000_000;

/** Trains the tokenizer of a run that has none: byte-level BPE learned from a sample of its documents. */
export function trainTokenizer(
  documents: readonly string[],
  { vocabSize, maxLength = Number.MAX_SAFE_INTEGER }: { vocabSize: number; maxLength?: number },
): Tokenizer {
  const json = trainBytePairEncoding(documents, { vocabSize, specialTokens: [END_OF_TEXT] });
  return Tokenizer.fromJson(json, { ...tokenizerConfigJson(END_OF_TEXT, maxLength) });
}
