import { keepFreedMemory } from "#platform";
import { grad } from "../autograd/grad.js";
import { sum } from "../base/numbers.js";
import type { Batch, BatchShape } from "../data/packing.js";
import { ALONE, type Collective } from "../distributed/collective.js";
import type { CausalLM } from "../models/causal-lm.js";
import { type Parameter, setTraining } from "../nn/module.js";
import { scatteredRows } from "../ops/gather.js";
import { type Gradient, RowGradient } from "../optim/gradient.js";
import { Program } from "../runtime/program.js";
import type { SessionOptions } from "../runtime/session.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import { type BatchInput, batchInput, type FedBatch } from "./batch-input.js";
import { shareOf, sumAsTree, sumOverRanks } from "./shared-gradients.js";

/** Shape and machine of a graph over batches. */
export interface StepShape extends BatchShape, SessionOptions {
  /** Tokens whose logits exist at once. */
  readonly lossChunk: number;
}

export interface TrainingStepOptions extends StepShape {
  /** Recompute activations in the backward pass. */
  readonly checkpointing: boolean;
  /** The ranks that share the micro-batches of an update. Default: this process alone. */
  readonly ranks?: Collective;
}

export interface StepResult {
  readonly loss: number;
  /** By parameter name, each of its parameter's size. */
  readonly gradients: Map<string, Gradient>;
}

/** Loss and gradients of a model's trainable parameters, in one compiled graph that runs as often as needed. */
export class TrainingStep {
  /** By name on disk; `run` gives gradients under the same names. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly #program: Program;
  readonly #input: BatchInput;
  readonly #ranks: Collective;

  private constructor(
    parameters: ReadonlyMap<string, Parameter>,
    program: Program,
    input: BatchInput,
    ranks: Collective,
  ) {
    this.parameters = parameters;
    this.#program = program;
    this.#input = input;
    this.#ranks = ranks;
  }

  /** @param parameters of `model`, which get gradients. Must be released. */
  static async compile(
    model: CausalLM,
    parameters: ReadonlyMap<string, Parameter>,
    options: TrainingStepOptions,
  ): Promise<TrainingStep> {
    // Every step returns all gradients in new arrays.
    keepFreedMemory();
    const { lossChunk, checkpointing, ranks = ALONE } = options;
    const input = batchInput(options, lossChunk);
    const outputs = stepGraph(model, parameters, input, checkpointing);
    const program = await Program.compile(outputs, options, input.sizes);
    return new TrainingStep(parameters, program, input, ranks);
  }

  /**
   * `scale` · the summed cross-entropy of the batch, and its gradients. With 1 / (scored tokens of the optimizer
   * step) as the scale, the sums over micro-batches are those of the mean over all tokens, however they are spread.
   */
  run(batch: Batch, scale: number): Promise<StepResult> {
    return this.#run(this.#input.feed(batch), scale);
  }

  async #run({ feeds, sizes }: FedBatch, scale: number): Promise<StepResult> {
    const results = await this.#program.run({ ...feeds, scale: Float32Array.of(scale) }, sizes);
    const gradients = new Map<string, Gradient>();
    [...this.parameters].forEach(([name, parameter], i) => {
      const values = results[`g${i}`]!.data as Float32Array;
      const indices = results[`i${i}`]?.data as Int32Array | undefined;
      gradients.set(name, indices === undefined ? values : new RowGradient(indices, values, parameter.size));
    });
    return { loss: results.loss!.data[0]!, gradients };
  }

  /**
   * Mean loss of all scored tokens of the micro-batches, and its gradients. Each rank computes its share of them, and
   * all get the same result.
   * @param beforeEach hears the index of each micro-batch before it runs here, and the number of tokens that it
   * computes.
   */
  async runAll(
    batches: readonly Batch[],
    beforeEach: (index: number, tokens: number) => void = () => {},
  ): Promise<StepResult> {
    const scale = 1 / countScored(batches);
    const losses = new Float64Array(batches.length);
    const [first, end] = shareOf(batches.length, this.#ranks);
    const own = await sumAsTree(first, end, async (i) => {
      const fed = this.#input.feed(batches[i]!);
      beforeEach(i, fed.tokens);
      const { loss, gradients } = await this.#run(fed, scale);
      losses[i] = loss;
      return gradients;
    });
    const gradients = await sumOverRanks(own, this.#ranks);
    await this.#ranks.sum(losses);
    return { loss: sum(losses), gradients };
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}

/**
 * `loss` and for parameter i `g<i>`: its gradient, or only the rows of it that are not zero, with their indices as
 * `i<i>`.
 */
export function stepGraph(
  model: CausalLM,
  parameters: ReadonlyMap<string, Parameter>,
  input: BatchInput,
  checkpointing: boolean,
): Record<string, Tensor> {
  setTraining(model, true);
  const loss = lossOf(model, input, { scale: placeholder("scale", []), checkpointing });
  setTraining(model, false);
  // The loss comes first, so that the forward pass is put in order before the gradients that reuse it.
  const outputs: Record<string, Tensor> = { loss };
  grad(loss, [...parameters.values()]).forEach((gradient, i) => {
    const sparse = scatteredRows(gradient);
    outputs[`g${i}`] = sparse?.rows ?? gradient;
    if (sparse !== undefined) outputs[`i${i}`] = sparse.indices;
  });
  return outputs;
}

/** The summed cross-entropy of a batch, as `CausalLM.loss`. */
export function lossOf(
  model: CausalLM,
  { ids, labels, sequence, chunkSize }: BatchInput,
  options: { readonly scale?: Tensor; readonly checkpointing?: boolean } = {},
): Tensor {
  return model.loss(ids, labels, { ...options, chunkSize, ...(sequence && { sequence }) });
}

/** Number of labels that are scored. */
export function countScored(batches: Iterable<Batch>): number {
  let count = 0;
  for (const { labels } of batches) for (const label of labels) if (label >= 0) count++;
  return count;
}
