import { sum } from "../base/numbers.js";
import type { Batch } from "../data/packing.js";
import { ALONE, type Collective } from "../distributed/collective.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Program } from "../runtime/program.js";
import { type BatchInput, batchInput } from "./batch-input.js";
import { countScored, type StepShape } from "./training-step.js";

/** Token-weighted mean cross-entropy in nats, its exponential, and the number of scored tokens. */
export interface Evaluation {
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  /**
   * Standard error of the loss as an estimate for data like these, in nats, by the spread of the rows or samples
   * around it. Null for fewer than two.
   */
  readonly standardError: number | null;
}

/** Token-weighted mean cross-entropy of a model on batches: a compiled graph, dropout off. */
export class HeldOutLoss {
  readonly #program: Program;
  readonly #input: BatchInput;
  readonly #rowLength: number;
  readonly #ranks: Collective;

  private constructor(program: Program, input: BatchInput, rowLength: number, ranks: Collective) {
    this.#program = program;
    this.#input = input;
    this.#rowLength = rowLength;
    this.#ranks = ranks;
  }

  /**
   * Must be released. Later changes of the parameters are seen; later changes of the model's structure are not.
   * @param ranks those that share the batches.
   */
  static async compile(model: CausalLM, shape: StepShape, ranks: Collective = ALONE): Promise<HeldOutLoss> {
    const input = batchInput(shape, shape.lossChunk);
    const { ids, labels, sequence, chunkSize } = input;
    const { total, each } = model.tokenLosses(ids, labels, { chunkSize, ...(sequence && { sequence }) });
    const program = await Program.compile({ loss: total, each }, shape, input.sizes);
    return new HeldOutLoss(program, input, shape.sequenceLength, ranks);
  }

  /** All ranks get the same, to the bit what one of them gets by itself. */
  async run(batches: Iterable<Batch>): Promise<Evaluation> {
    const { rank, size } = this.#ranks;
    const rows: ScoredRow[] = [];
    const nats: number[] = [];
    let tokens = 0;
    for (const batch of batches) {
      const isOurs = nats.length % size === rank;
      const { loss, each } = isOurs ? await this.#lossesOf(batch) : { loss: 0, each: null };
      nats.push(loss);
      tokens += countScored([batch]);
      for (const row of scoredRows(batch, each, this.#rowLength)) rows.push(row);
    }
    // A batch is of one rank alone, and the others add zeros.
    const all = Float64Array.from([...nats, ...rows.map((row) => row.nats)]);
    await this.#ranks.sum(all);
    const loss = sum(all.subarray(0, nats.length)) / tokens;
    const shared = rows.map((row, i) => ({ ...row, nats: all[nats.length + i]! }));
    return { loss, perplexity: Math.exp(loss), tokens, standardError: standardErrorOf(shared) };
  }

  /** The sum over the batch, and the loss of each token. */
  async #lossesOf(batch: Batch): Promise<{ readonly loss: number; readonly each: Float32Array }> {
    const { feeds, sizes } = this.#input.feed(batch);
    const { loss, each } = await this.#program.run(feeds, sizes);
    return { loss: loss!.data[0]!, each: each!.data as Float32Array };
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}

/** A row or sample: the sum of its tokens' losses, and the number of those that are scored. */
interface ScoredRow {
  readonly nats: number;
  readonly tokens: number;
}

/** @param losses of the batch's tokens; null where another rank has them. */
function* scoredRows({ labels, lengths }: Batch, losses: Float32Array | null, rowLength: number): Generator<ScoredRow> {
  const rows = lengths ?? new Array<number>(labels.length / rowLength).fill(rowLength);
  let start = 0;
  for (const length of rows) {
    const [from, to] = [start, start + length];
    start = to;
    const tokens = labels.subarray(from, to).reduce((count, label) => (label >= 0 ? count + 1 : count), 0);
    if (tokens > 0) yield { nats: losses === null ? 0 : sum(losses.subarray(from, to)), tokens };
  }
}

/** That of a ratio of two sums over rows that were drawn independently (Cochran 1977, Sampling Techniques, §6.4). */
export function standardErrorOf(rows: readonly ScoredRow[]): number | null {
  if (rows.length < 2) return null;
  const tokens = sum(rows.map((row) => row.tokens));
  const mean = sum(rows.map(({ nats }) => nats)) / tokens;
  const squares = sum(rows.map((row) => (row.nats - mean * row.tokens) ** 2));
  return Math.sqrt((squares * rows.length) / (rows.length - 1)) / tokens;
}
