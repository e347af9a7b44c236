/** Content of a Hugging Face `tokenizer.json` with a byte-level BPE model, as our trainer writes it. */
export interface TokenizerJson {
  version: "1.0";
  truncation: null;
  padding: null;
  added_tokens: AddedToken[];
  normalizer: null;
  pre_tokenizer: ByteLevel;
  post_processor: TemplateProcessing;
  decoder: ByteLevel;
  model: {
    type: "BPE";
    dropout: null;
    unk_token: null;
    continuing_subword_prefix: null;
    end_of_word_suffix: null;
    fuse_unk: false;
    byte_fallback: false;
    ignore_merges: false;
    vocab: Record<string, number>;
    merges: [string, string][];
  };
}

interface AddedToken {
  id: number;
  content: string;
  single_word: false;
  lstrip: false;
  rstrip: false;
  normalized: false;
  special: true;
}

interface ByteLevel {
  type: "ByteLevel";
  add_prefix_space: false;
  trim_offsets: true;
  use_regex: true;
}

/** Puts a token in front of each text. */
interface TemplateProcessing {
  type: "TemplateProcessing";
  single: TemplatePiece[];
  pair: TemplatePiece[];
  special_tokens: Record<string, { id: string; ids: [number]; tokens: [string] }>;
}

type TemplatePiece = { SpecialToken: { id: string; type_id: 0 | 1 } } | { Sequence: { id: "A" | "B"; type_id: 0 | 1 } };

/** Content of the `tokenizer_config.json` beside it. */
export interface TokenizerConfigJson {
  tokenizer_class: "PreTrainedTokenizerFast";
  bos_token: string;
  eos_token: string;
  unk_token: string;
  add_prefix_space: false;
  clean_up_tokenization_spaces: false;
  model_max_length: number;
}

/**
 * A text begins after the first special token, as the documents do that a model is trained on.
 * @param tokens by id, special tokens included.
 * @param merges in the order learned, as byte-level characters.
 */
export function byteLevelTokenizerJson(
  tokens: readonly string[],
  merges: [string, string][],
  specialTokens: readonly string[],
): TokenizerJson {
  const byteLevel: ByteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content) => ({
      id: tokens.indexOf(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: beginningWith(specialTokens[0]!, tokens.indexOf(specialTokens[0]!)),
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

function beginningWith(token: string, id: number): TemplateProcessing {
  const begin = (type_id: 0 | 1): TemplatePiece => ({ SpecialToken: { id: token, type_id } });
  const first: TemplatePiece = { Sequence: { id: "A", type_id: 0 } };
  const second: TemplatePiece = { Sequence: { id: "B", type_id: 1 } };
  return {
    type: "TemplateProcessing",
    single: [begin(0), first],
    pair: [begin(0), first, begin(1), second],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/**
 * Declares the end-of-text token as the one that begins and ends a text, as in GPT-2.
 * @param maxLength tokens that the model takes at once, `sequenceLength` or `max_position_embeddings`.
 */
export function tokenizerConfigJson(endOfText: string, maxLength: number): TokenizerConfigJson {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: endOfText,
    eos_token: endOfText,
    unk_token: endOfText,
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: maxLength,
  };
}
