import path from "node:path";
import { hashModelFolder } from "../../src/formats/base-hash.js";
import { writePeftAdapter } from "../../src/formats/peft.js";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { quantizeModel } from "../../src/verbs/quantize.js";
import { changeTensors, writeSmallModel } from "../small-model.js";

/** The layer that is at fault. */
export const UP_PROJ = "model.layers.0.mlp.up_proj.weight";

/** Writes the folder `float` with a model that has a NaN in one layer. */
export function notFinite(cwd: string): Promise<void> {
  const change = (tensors: Map<string, HostTensor>) => void tensors.get(UP_PROJ)!.data.fill(Number.NaN, 5, 6);
  return writeSmallModel(path.join(cwd, "float"), { numLayers: 1, change });
}

/** Writes the folders `float` and `packed`, the latter in nf4 with nested scales where `doubleQuant`, and then changed. */
export function packed(
  change: (tensors: Map<string, HostTensor>) => void = () => {},
  { doubleQuant = false }: { doubleQuant?: boolean } = {},
): (cwd: string) => Promise<void> {
  return async (cwd) => {
    const [float, out] = [path.join(cwd, "float"), path.join(cwd, "packed")];
    await writeSmallModel(float, { numLayers: 1 });
    await quantizeModel(float, { out, quantizer: { format: "nf4", blockSize: 64, doubleQuant } });
    await changeTensors(out, change);
  };
}

/** Replaces a part of a quantized weight by its first elements. */
export function shortened(part: string, length: number): (tensors: Map<string, HostTensor>) => void {
  return (tensors) => {
    const { dtype, data, shape } = tensors.get(part)!;
    tensors.set(part, { dtype, data: data.slice(0, length), shape: [length, ...shape.slice(1)] });
  };
}

/** Changes the JSON of a quantized weight. */
export function quantState(change: object): (tensors: Map<string, HostTensor>) => void {
  return (tensors) => {
    const part = `${UP_PROJ}.quant_state.bitsandbytes__nf4`;
    const state = JSON.parse(new TextDecoder().decode(tensors.get(part)!.data as Uint8Array));
    const data = new TextEncoder().encode(JSON.stringify({ ...state, ...change }));
    tensors.set(part, { dtype: "uint8", shape: [data.length], data });
  };
}

/** Writes the folder `adapter`, trained on the weights of the folder `base` below. */
export async function adapterFor(cwd: string, base: string, quantizer: string | null): Promise<void> {
  const zeros = (...shape: [number, number]): HostTensor => ({
    dtype: "float32",
    shape,
    data: new Float32Array(shape[0] * shape[1]),
  });
  await writePeftAdapter(path.join(cwd, "adapter"), {
    ...{ baseModel: null, rank: 2, alpha: 2, dropout: 0, useRslora: false, targetModules: ["up_proj"] },
    layers: new Map([[UP_PROJ.replace(".weight", ""), { loraA: zeros(2, 16), loraB: zeros(24, 2) }]]),
    modulesToSave: new Map(),
    base: { sha256: await hashModelFolder(path.join(cwd, base)), quantizer },
  });
}
