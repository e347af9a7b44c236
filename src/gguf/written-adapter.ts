import type { LowRankTerm } from "../adapters/low-rank-term.js";
import { ReorderedTensor } from "./rearranged-tensor.js";
import type { GgufValue } from "./types.js";
import type { GgufContent, GgufTensorToWrite } from "./write-gguf.js";
import type { WrittenConfig } from "./written-config.js";
import { ggufPlaces } from "./written-model.js";

/** A LoRA as the content of a GGUF file for llama.cpp's `--lora`. */
export interface GgufAdapter extends GgufContent {
  /** The alpha of all layers. */
  readonly alpha: number;
}

/**
 * The content of a GGUF file for low-rank updates, none with a magnitude. llama.cpp multiplies B · A of each layer with
 * alpha / rank, and has one alpha for all: that of most layers. What another layer's scaling differs by goes into its
 * B.
 * @param updates by the names of their layers in Hugging Face folders.
 * @throws ModelError for layers that have no place in a file of the architecture.
 */
export function ggufAdapterOf(
  updates: ReadonlyMap<string, LowRankTerm>,
  config: WrittenConfig,
  type: "F32" | "F16" | "BF16",
): GgufAdapter {
  const alpha = commonAlpha([...updates.values()]);
  const placeOf = ggufPlaces(config);
  const tensors = new Map<string, GgufTensorToWrite>();
  for (const [layer, { rank, scaling, loraA, loraB }] of updates) {
    const { name, order } = placeOf(`${layer}.weight`);
    const factor = (scaling * rank) / alpha;
    const data = factor === 1 ? loraB : loraB.map((value) => value * factor);
    const a = { dtype: "float32", shape: [rank, loraA.length / rank], data: loraA } as const;
    const b = { dtype: "float32", shape: [loraB.length / rank, rank], data } as const;
    tensors.set(`${name}.lora_a`, { tensor: a, type });
    tensors.set(`${name}.lora_b`, { tensor: order === undefined ? b : new ReorderedTensor(b, order), type });
  }
  const text = (value: string): GgufValue => ({ type: "string", value });
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", text(config.architecture.name)],
    ["general.type", text("adapter")],
    ["adapter.type", text("lora")],
    ["adapter.lora.alpha", { type: "float32", value: alpha }],
  ]);
  return { metadata, tensors, alpha };
}

/** The alpha of most updates, as a float32. llama.cpp takes 0 for none at all. */
function commonAlpha(updates: readonly LowRankTerm[]): number {
  const counts = new Map<number, number>();
  for (const { scaling, rank } of updates) {
    const alpha = Math.fround(scaling * rank);
    if (alpha !== 0) counts.set(alpha, (counts.get(alpha) ?? 0) + 1);
  }
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), [1, 0] as const)[0];
}
