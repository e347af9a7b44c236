import { sum } from "../base/numbers.js";
import type { Batch } from "../data/packing.js";
import { ALONE, type Collective } from "../distributed/collective.js";
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
  readonly #ranks: Collective;

  private constructor(program: Program, input: BatchInput, ranks: Collective) {
    this.#program = program;
    this.#input = input;
    this.#ranks = ranks;
  }

  /**
   * Must be released. Later changes of the parameters are seen; later changes of the model's structure are not.
   * @param ranks those that share the batches.
   */
  static async compile(model: CausalLM, shape: StepShape, ranks: Collective = ALONE): Promise<HeldOutLoss> {
    const input = batchInput(shape, shape.lossChunk);
    const program = await Program.compile({ loss: lossOf(model, input) }, shape, input.sizes);
    return new HeldOutLoss(program, input, ranks);
  }

  /** All ranks get the same, to the bit what one of them gets by itself. */
  async run(batches: Iterable<Batch>): Promise<Evaluation> {
    const { rank, size } = this.#ranks;
    const nats: number[] = [];
    let tokens = 0;
    for (const batch of batches) {
      nats.push(nats.length % size === rank ? await this.#natsOf(batch) : 0);
      tokens += countScored([batch]);
    }
    const all = Float64Array.from(nats);
    await this.#ranks.sum(all);
    const loss = sum(all) / tokens;
    return { loss, perplexity: Math.exp(loss), tokens };
  }

  async #natsOf(batch: Batch): Promise<number> {
    const { feeds, sizes } = this.#input.feed(batch);
    const { loss } = await this.#program.run(feeds, sizes);
    return loss!.data[0]!;
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}
