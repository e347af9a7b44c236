import type { Batch, BatchShape } from "../data/packing.js";
import type { CausalLM } from "../models/causal-lm.js";
import { reshape } from "../ops/movement.js";
import { Program } from "../runtime/program.js";
import type { SessionOptions } from "../runtime/session.js";
import { batchInput } from "./batch-input.js";
import { countScored } from "./training-step.js";

/** The model's answer to the probe: mean loss in nats, and all logits. */
export interface ProbeResult {
  readonly loss: number;
  readonly logits: Float32Array;
}

/** One fixed short sequence whose loss and logits show whether a merge changed what the model computes. */
export class Probe {
  readonly #program: Program;
  readonly #batch: Batch;
  readonly #scored: number;

  private constructor(program: Program, batch: Batch) {
    this.#program = program;
    this.#batch = batch;
    this.#scored = countScored([batch]);
  }

  /** @param batch one row. Must be released. */
  static async compile(model: CausalLM, batch: Batch, options: SessionOptions): Promise<Probe> {
    const sequenceLength = batch.inputIds.length;
    const { ids, labels } = batchInput({ batchSize: 1, sequenceLength }, sequenceLength);
    const hidden = model.hidden(ids);
    const loss = model.score(hidden, reshape(labels, [labels.size]));
    const outputs = { loss, logits: model.project(hidden) };
    return new Probe(await Program.compile(outputs, options), batch);
  }

  async run(): Promise<ProbeResult> {
    const { loss, logits } = await this.#program.run({ ids: this.#batch.inputIds, labels: this.#batch.labels });
    return { loss: loss!.data[0]! / this.#scored, logits: logits!.data as Float32Array };
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}

/** Longest probe, in tokens: all its logits are kept. */
const MOST_TOKENS = 128;

/** Tokens of a probe that is taken from a row of this length. */
export function probeLength(sequenceLength: number): number {
  return Math.min(MOST_TOKENS, sequenceLength);
}

/** The beginning of the first row, or of the first sample, of a batch. */
export function probeBatch({ inputIds, labels, lengths }: Batch, { sequenceLength }: BatchShape): Batch {
  const length = probeLength(lengths?.[0] ?? sequenceLength);
  return { inputIds: inputIds.slice(0, length), labels: labels.slice(0, length) };
}

/** Largest absolute difference of two results' logits. */
export function largestChange(before: ProbeResult, after: ProbeResult): number {
  let largest = 0;
  for (const [i, logit] of before.logits.entries()) largest = Math.max(largest, Math.abs(after.logits[i]! - logit));
  return largest;
}
