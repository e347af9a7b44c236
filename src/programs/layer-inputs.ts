import type { LayerInputs } from "../adapters/low-rank-approximation.js";
import { MergeableLayer } from "../adapters/mergeable-layer.js";
import type { Batch } from "../data/packing.js";
import type { CausalLM } from "../models/causal-lm.js";
import { LinearLayer } from "../nn/linear.js";
import { moduleSlots, type Parameter } from "../nn/module.js";
import { Program } from "../runtime/program.js";
import type { SessionOptions } from "../runtime/session.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** Inputs of every adapted layer of the model on a batch, dropout off, by the layer's name on disk. */
export async function recordLayerInputs(
  model: CausalLM,
  { inputIds }: Batch,
  sequenceLength: number,
  options: SessionOptions,
): Promise<Map<string, LayerInputs>> {
  const recorders = new Map<string, InputRecorder>();
  const slots = moduleSlots(model).filter(({ module }) => module instanceof MergeableLayer);
  for (const { path, module, replace } of slots) {
    const recorder = new InputRecorder(module as MergeableLayer);
    recorders.set(model.checkpointName(path), recorder);
    replace(recorder);
  }
  try {
    model.hidden(tensor(inputIds, [inputIds.length / sequenceLength, sequenceLength]));
  } finally {
    for (const { module, replace } of slots) replace(module);
  }
  // Layers that share an input, as q, k and v do, share the result.
  const distinct = [...new Set([...recorders.values()].map(({ input }) => input!))];
  const program = await Program.compile(Object.fromEntries(distinct.map((x, i) => [`x${i}`, x])), options);
  try {
    const values = await program.run();
    return new Map(
      [...recorders].map(([name, { input }]) => {
        const data = values[`x${distinct.indexOf(input!)}`]!.data as Float32Array;
        return [name, { rows: data.length / input!.shape.at(-1)!, data }] as const;
      }),
    );
  } finally {
    await program.release();
  }
}

/** Stands in for a layer while a graph is built, and remembers what the layer is applied to. */
class InputRecorder extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: Parameter | undefined;
  input: Tensor | undefined;
  readonly #layer: LinearLayer;

  constructor(layer: LinearLayer) {
    super();
    this.inFeatures = layer.inFeatures;
    this.outFeatures = layer.outFeatures;
    this.bias = layer.bias;
    this.#layer = layer;
  }

  override forward(x: Tensor): Tensor {
    this.input = x;
    return this.#layer.forward(x);
  }
}
