export { type BytePairEncodingOptions, trainBytePairEncoding } from "./bpe-trainer.js";
export { Tokenizer, type TokenizerConfig } from "./tokenizer.js";
export { type TokenizerConfigJson, type TokenizerJson, tokenizerConfigJson } from "./tokenizer-json.js";
