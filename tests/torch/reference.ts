import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { ask } from "../peers/peer.js";

/** Keys of a Hugging Face LLaMA config.json. */
export interface LlamaConfigJson {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads?: number;
  readonly rms_norm_eps?: number;
  readonly rope_theta?: number;
  readonly tie_word_embeddings?: boolean;
  readonly vocab_size: number;
}

export interface TorchInputs {
  readonly config: LlamaConfigJson;
  /** Hugging Face names, layout [out, in]; adapters as NAME.lora_A.weight and NAME.lora_B.weight. */
  readonly weights: ReadonlyMap<string, HostTensor>;
  /** [batch, length], int32. */
  readonly inputIds: HostTensor;
  /** [batch, length], int32, already shifted: logits at t are scored against labels at t; -100 is not scored. */
  readonly labels: HostTensor;
  /** Default 1. */
  readonly loraScaling?: number;
  /** What PyTorch computes in; results are rounded to float32. Default float32. */
  readonly dtype?: "float32" | "float64";
}

export interface TorchResult {
  /** Mean over the scored positions. */
  readonly loss: number;
  /** [batch, length, vocab]. */
  readonly logits: HostTensor;
  /** By the name of the weight; one for every weight given. */
  readonly gradients: ReadonlyMap<string, HostTensor>;
}

/** Loss, logits and gradients of a LLaMA by PyTorch autograd. */
export async function runTorchReference(inputs: TorchInputs): Promise<TorchResult> {
  const folder = mkdtempSync(join(tmpdir(), "highrank-torch-"));
  try {
    const source = join(folder, "in.safetensors");
    const target = join(folder, "out.safetensors");
    const tensors = new Map([...inputs.weights, ["input_ids", inputs.inputIds], ["labels", inputs.labels]]);
    await writeSafetensors(source, tensors, {
      config: JSON.stringify(inputs.config),
      lora_scaling: String(inputs.loraScaling ?? 1),
      dtype: inputs.dtype ?? "float32",
    });
    await ask("llama_reference", "compare", { source, target });
    return unpack((await readSafetensors(target)).tensors);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function unpack(tensors: ReadonlyMap<string, HostTensor>): TorchResult {
  const gradients = new Map<string, HostTensor>();
  for (const [name, tensor] of tensors) {
    if (name.startsWith("grad.")) gradients.set(name.slice("grad.".length), tensor);
  }
  return { loss: tensors.get("loss")!.data[0]!, logits: tensors.get("logits")!, gradients };
}
