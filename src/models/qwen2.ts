import type { Architecture } from "./causal-lm.js";
import type { ConfigReader } from "./config-reader.js";
import { decoderArchitecture } from "./decoder.js";
import { type DecoderConfig, readDecoder } from "./decoder-config.js";
import { readLayerTypes } from "./layer-types.js";

/** Qwen 2 and 2.5 (Yang et al. 2024, arXiv:2407.10671): LLaMA with biases for queries, keys and values. */
export const QWEN2: Architecture = decoderArchitecture("qwen2", (reader) => {
  reader.only("attention_bias", true);
  return { ...readQwen(reader), attentionBias: true, outputBias: false };
});

/** Reads the keys that Qwen 2 and 3 share. */
export function readQwen(reader: ConfigReader, { headDim }: { readonly headDim?: number } = {}): DecoderConfig {
  for (const key of ["mlp_bias", "use_mrope"]) reader.only(key, false);
  const config = readDecoder(reader, {
    maxSequenceLength: 32_768,
    numKeyValueHeads: 32,
    ...(headDim !== undefined && { headDim }),
  });
  return { ...config, window: readWindow(reader, config.numLayers) };
}

/**
 * Reads the window. If it is switched on, it applies to layers from number `max_window_layers` on, unless `layer_types`
 * names them.
 */
function readWindow(reader: ConfigReader, numLayers: number): DecoderConfig["window"] {
  const isOn = reader.boolean("use_sliding_window", false) && !reader.isNull("sliding_window");
  const size = reader.count("sliding_window", 4096);
  const first = reader.atLeastZero("max_window_layers", 28);
  const slides = readLayerTypes(reader, numLayers, (layer) => isOn && layer >= first);
  if (!isOn && Array.from({ length: numLayers }, (_, layer) => slides(layer)).includes(true))
    reader.faults.push("layer_types has sliding_attention, which needs use_sliding_window and a sliding_window");
  return (layer) => (slides(layer) ? size : undefined);
}
