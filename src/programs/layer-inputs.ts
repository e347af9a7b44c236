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
  const inputs = layerInputsOf(model, tensor(inputIds, [inputIds.length / sequenceLength, sequenceLength]));
  const outputs = distinctOutputs(inputs);
  const program = await Program.compile(outputs, options);
  try {
    const values = await program.run();
    const names = new Map(Object.entries(outputs).map(([name, x]) => [x, name]));
    return new Map(
      [...inputs].map(([layer, x]) => {
        const data = values[names.get(x)!]!.data as Float32Array;
        return [layer, { rows: data.length / x.shape.at(-1)!, data }] as const;
      }),
    );
  } finally {
    await program.release();
  }
}

/**
 * The graph of `recordLayerInputs`: each input of an adapted layer once, since q, k and v have one in common.
 * @param ids (rows, sequence length), int32.
 */
export function layerInputsGraph(model: CausalLM, ids: Tensor): Record<string, Tensor> {
  return distinctOutputs(layerInputsOf(model, ids));
}

function distinctOutputs(inputs: ReadonlyMap<string, Tensor>): Record<string, Tensor> {
  return Object.fromEntries([...new Set(inputs.values())].map((x, i) => [`x${i}`, x]));
}

/** The input of each adapted layer, by the layer's name on disk. */
function layerInputsOf(model: CausalLM, ids: Tensor): Map<string, Tensor> {
  const recorders = new Map<string, InputRecorder>();
  const slots = moduleSlots(model).filter(({ module }) => module instanceof MergeableLayer);
  for (const { path, module, replace } of slots) {
    const recorder = new InputRecorder(module as MergeableLayer);
    recorders.set(model.checkpointName(path), recorder);
    replace(recorder);
  }
  try {
    model.hidden(ids);
  } finally {
    for (const { module, replace } of slots) replace(module);
  }
  return new Map([...recorders].map(([name, { input }]) => [name, input!]));
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
