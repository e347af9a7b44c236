import type { Architecture } from "./causal-lm.js";
import { decoderArchitecture } from "./decoder.js";
import { readDecoder } from "./decoder-config.js";

/**
 * Mistral (Jiang et al. 2023, arXiv:2310.06825): LLaMA whose layers all look back on a window, in its first version.
 */
export const MISTRAL: Architecture = decoderArchitecture("mistral", (reader) => {
  for (const key of ["attention_bias", "mlp_bias"]) reader.only(key, false);
  reader.only("layer_types", null);
  // A missing key means the window of the first version, null means none.
  const window = reader.isNull("sliding_window") ? undefined : reader.count("sliding_window", 4096);
  return { ...readDecoder(reader, { maxSequenceLength: 131_072, numKeyValueHeads: 8 }), window: () => window };
});
