import type { Batch } from "../data/packing.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Program } from "../runtime/program.js";
import { type BatchInput, batchInput } from "./batch-input.js";
import { countScored, lossOf, type StepShape } from "./training-step.js";

/** Token-weighted mean cross-entropy in nats, its exponential, and the number of scored tokens. */
export interface Evaluation {
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
}

/** Token-weighted mean cross-entropy of a model on batches: a compiled graph, dropout off. */
export class HeldOutLoss {
  readonly #program: Program;
  readonly #input: BatchInput;

  private constructor(program: Program, input: BatchInput) {
    this.#program = program;
    this.#input = input;
  }

  /** Must be released. Later changes of the parameters are seen; later changes of the model's structure are not. */
  static async compile(model: CausalLM, shape: StepShape): Promise<HeldOutLoss> {
    const input = batchInput(shape, shape.lossChunk);
    const program = await Program.compile({ loss: lossOf(model, input) }, shape, input.sizes);
    return new HeldOutLoss(program, input);
  }

  async run(batches: Iterable<Batch>): Promise<Evaluation> {
    let [nats, tokens] = [0, 0];
    for (const batch of batches) {
      const { feeds, sizes } = this.#input.feed(batch);
      const { loss } = await this.#program.run(feeds, sizes);
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
