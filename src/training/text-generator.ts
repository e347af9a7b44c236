import type { Tokenizer } from "../data/tokenizer.js";
import type { CausalLM } from "../models/causal-lm.js";
import { gatherRows } from "../ops/gather.js";
import { Program } from "../runtime/program.js";
import type { SessionOptions } from "../runtime/session.js";
import type { Rng } from "../tensor/random.js";
import { placeholder } from "../tensor/tensor.js";
import type { Generation } from "./contracts.js";
import { type SamplingOptions, sampleToken } from "./sampling.js";

export interface TextOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** Hears each piece of text as soon as it is whole characters. */
  readonly onText?: (piece: string) => void;
}

const SHORTEST_WINDOW = 32;

/** What a text that stops within a character decodes to at its end. */
const INCOMPLETE = "\ufffd";

/**
 * Writes text with a model. Each token costs a forward pass over the text so far, in compiled graphs whose lengths are
 * powers of two; a text longer than the model's is continued from its last tokens.
 */
export class TextGenerator {
  readonly #model: CausalLM;
  readonly #tokenizer: Tokenizer;
  readonly #options: SessionOptions;
  readonly #programs: Map<number, Program> = new Map();

  /** Must be released. Later changes of the parameters are seen; later changes of the model's structure are not. */
  constructor(model: CausalLM, tokenizer: Tokenizer, options: SessionOptions) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /** Continues `prompt`, or an empty one as if a document begins. Ends at the end-of-text token or after maxNewTokens. */
  async generate(prompt: string, options: TextOptions, rng: Rng): Promise<Generation> {
    const endOfText = this.#tokenizer.endOfTextId;
    const ids = [endOfText, ...this.#tokenizer.encode(prompt)];
    const written: number[] = [];
    let shown = "";
    let finish: Generation["finish"] = "length";
    while (written.length < options.maxNewTokens) {
      const token = sampleToken(await this.#nextLogits(ids), options, rng);
      if (token === endOfText) {
        finish = "end-of-text";
        break;
      }
      ids.push(token);
      written.push(token);
      const text = this.#tokenizer.decode(written);
      if (text.endsWith(INCOMPLETE)) continue;
      options.onText?.(text.slice(shown.length));
      shown = text;
    }
    const text = this.#tokenizer.decode(written);
    if (text.length > shown.length) options.onText?.(text.slice(shown.length));
    return { text, tokens: written.length, finish };
  }

  async release(): Promise<void> {
    for (const program of this.#programs.values()) await program.release();
    this.#programs.clear();
  }

  /** Scores of the token after `ids`. */
  async #nextLogits(ids: readonly number[]): Promise<Float32Array> {
    const longest = this.#model.config.maxSequenceLength;
    const recent = ids.slice(-longest);
    let length = Math.min(SHORTEST_WINDOW, longest);
    while (length < recent.length) length = Math.min(2 * length, longest);
    const program = await this.#programFor(length);
    // The model is causal: what fills the window after the last token does not reach it.
    const window = new Int32Array(length);
    window.set(recent);
    const { logits } = await program.run({ ids: window, position: Int32Array.of(recent.length - 1) });
    return logits!.data as Float32Array;
  }

  async #programFor(length: number): Promise<Program> {
    let program = this.#programs.get(length);
    if (program === undefined) {
      const hidden = this.#model.hidden(placeholder("ids", [1, length], "int32"));
      const last = gatherRows(hidden, placeholder("position", [1], "int32"));
      program = await Program.compile({ logits: this.#model.project(last) }, this.#options);
      this.#programs.set(length, program);
    }
    return program;
  }
}
