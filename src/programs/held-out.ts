import type { Batch } from "../data/packing.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Program } from "../runtime/program.js";
import { batchPlaceholders, countScored, type StepShape } from "./training-step.js";

/** Token-weighted mean cross-entropy in nats, its exponential, and the number of scored tokens. */
export interface Evaluation {
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
}

/** Token-weighted mean cross-entropy of a model on batches: a compiled graph, dropout off. */
export class HeldOutLoss {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Must be released. Later changes of the parameters are seen; later changes of the model's structure are not. */
  static async compile(model: CausalLM, shape: StepShape): Promise<HeldOutLoss> {
    const { batchSize, sequenceLength, lossChunk: chunkSize, device, threads } = shape;
    const [ids, labels] = batchPlaceholders(batchSize, sequenceLength);
    return new HeldOutLoss(
      await Program.compile({ loss: model.loss(ids, labels, { chunkSize }) }, { device, threads }),
    );
  }

  async run(batches: Iterable<Batch>): Promise<Evaluation> {
    let [nats, tokens] = [0, 0];
    for (const batch of batches) {
      const { loss } = await this.#program.run({ ids: batch.inputIds, labels: batch.labels });
      nats += loss!.data[0]!;
      tokens += countScored([batch]);
    }
    const loss = nats / tokens;
    return { loss, perplexity: Math.exp(loss), tokens };
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}
