import { isObject, shownValue } from "../base/json.js";
import type { HostTensor } from "../tensor/dtype.js";
import { transposedElements } from "../tensor/transposed.js";

/** The file of weights of an adapter of mlx-lm. */
export const MLX_WEIGHTS = "adapters.safetensors";

/**
 * The config of an adapter of mlx-lm in PEFT's fields. It has the scaling itself in place of an alpha, and adapts the
 * layers that have tensors.
 */
export function mlxFields(config: Readonly<Record<string, unknown>>, faults: string[]): Record<string, unknown> {
  const { fine_tune_type: kind = "lora", lora_parameters: given } = config;
  if (kind !== "lora" && kind !== "dora") {
    faults.push(
      `fine_tune_type must be "lora" or "dora", not ${shownValue(kind)}; write the whole model with mlx_lm.fuse`,
    );
  }
  const { rank, scale, dropout = 0 } = isObject(given) ? given : {};
  const isRight = typeof scale === "number" && typeof rank === "number";
  if (!isRight) faults.push(`lora_parameters must have numbers for rank and scale, not ${shownValue(given)}`);
  const alpha = isRight ? scale * rank : 1;
  return {
    peft_type: "LORA",
    r: isRight ? rank : 1,
    lora_alpha: alpha,
    lora_dropout: dropout,
    use_dora: kind === "dora",
  };
}

const NAMES: Readonly<Record<string, string>> = {
  lora_a: "lora_A.weight",
  lora_b: "lora_B.weight",
  m: "lora_magnitude_vector",
};

/** A tensor of mlx-lm by PEFT's name, factors turned: mlx-lm multiplies x · lora_a · lora_b. */
export function asPeftTensor(name: string, tensor: HostTensor): readonly [name: string, tensor: HostTensor] {
  const dot = name.lastIndexOf(".");
  const part = NAMES[name.slice(dot + 1)];
  if (part === undefined) return [name, tensor];
  const known = `base_model.model.${name.slice(0, dot)}.${part}`;
  if (tensor.shape.length !== 2) return [known, tensor];
  const [rows, columns] = tensor.shape as [number, number];
  const data = transposedElements(tensor.data, rows, columns);
  return [known, { dtype: tensor.dtype, shape: [columns, rows], data } as HostTensor];
}
