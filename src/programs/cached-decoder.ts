import { DynamicSizes, primeFrom } from "../compiler/dynamic-sizes.js";
import type { CausalLM } from "../models/causal-lm.js";
import { CachedSequence } from "../nn/cached-sequence.js";
import type { AngleInputs } from "../nn/fed-sequence.js";
import { anglesAt, switchLength } from "../nn/rope.js";
import { gatherRows } from "../ops/gather.js";
import { Program } from "../runtime/program.js";
import type { SessionOptions } from "../runtime/session.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import { KeyValueCache } from "./key-value-cache.js";

/** Most tokens that one step reads. */
const LONGEST_STEP = 256;
/** Fewest of a step that reads several. */
const SHORTEST_STEP = 8;
/**
 * The stand-in for a number of slots is larger than any size of a model, and its product with those is an exact
 * integer.
 */
const LEAST_STAND_IN = 2 ** 32;

/**
 * Reads tokens one after another, or several at a time, with the keys and values of those before in a cache. What
 * reads single tokens is compiled once; what reads several, for each power of two that a text is cut into, and let go
 * with the memory that it took.
 */
export class CachedDecoder {
  readonly #model: CausalLM;
  readonly #options: SessionOptions;
  readonly #steps: Map<number, Step> = new Map();
  readonly #cache: KeyValueCache;
  /** Lengths of texts above which the tokens in the cache turn otherwise. */
  readonly #switches: readonly number[];
  #text: number[] = [];

  /** Must be released. Later changes of the parameters are seen; later changes of the model's structure are not. */
  constructor(model: CausalLM, options: SessionOptions) {
    this.#model = model;
    this.#options = options;
    const { layers, angles } = buildStep(model, 1).sequence;
    this.#cache = new KeyValueCache(layers);
    this.#switches = [...angles.values()]
      .map(({ rope }) => switchLength(rope))
      .filter((length) => length !== undefined);
  }

  /** Tokens in the cache: at most the model's maxSequenceLength. */
  get length(): number {
    return this.#cache.length;
  }

  /** Begins a new text. */
  clear(): void {
    this.#cache.clear();
    this.#text = [];
  }

  /** Compiles what reads so many tokens, which is done anyway when they are read. */
  async prepare(count: number): Promise<void> {
    for (const part of parts(count)) await this.#stepFor(part);
  }

  /** Reads at least one token and adds them to the cache. → scores of the token after them, (vocabSize). */
  async read(ids: readonly number[]): Promise<Float32Array> {
    const length = this.length + ids.length;
    if (this.length > 0 && this.#switches.some((at) => this.length <= at && at < length)) {
      const text = [...this.#text, ...ids];
      this.clear();
      return this.read(text);
    }
    for (const id of ids) this.#text.push(id);
    this.#cache.reserve(length);
    let logits: Float32Array = new Float32Array();
    let start = 0;
    for (const count of parts(ids.length)) {
      logits = await this.#readStep(await this.#stepFor(count), ids.slice(start, start + count), length);
      start += count;
    }
    if (ids.length > 1) await this.#release((time) => time > 1);
    return logits;
  }

  release(): Promise<void> {
    return this.#release(() => true);
  }

  async #release(chosen: (time: number) => boolean): Promise<void> {
    for (const [time, { program }] of this.#steps) {
      if (!chosen(time)) continue;
      this.#steps.delete(time);
      await program.release();
    }
  }

  async #stepFor(count: number): Promise<Step> {
    let time = count === 1 ? 1 : SHORTEST_STEP;
    while (time < count) time *= 2;
    let step = this.#steps.get(time);
    if (step === undefined) {
      const { sequence, outputs, sizes } = buildStep(this.#model, time);
      step = { sequence, program: await Program.compile(outputs, this.#options, sizes) };
      this.#steps.set(time, step);
    }
    return step;
  }

  /** @param length tokens of the text as far as it is being read. */
  async #readStep({ program, sequence }: Step, part: readonly number[], length: number): Promise<Float32Array> {
    const { time, angles, masks } = sequence;
    const cache = this.#cache;
    // What fills the step after the last token comes later than all of them, so that none sees it.
    const ids = new Int32Array(time);
    ids.set(part);
    const last = this.#model.config.maxSequenceLength - 1;
    const positions = Int32Array.from(ids.keys(), (i) => Math.min(cache.length + i, last));
    const windows = [...masks.keys()];
    const outputs = await program.run(
      {
        ...{ ids, positions, last: Int32Array.of(part.length - 1) },
        ...cache.feeds(),
        ...Object.fromEntries([...angles.values()].flatMap((each) => angleFeeds(each, positions, length))),
        ...Object.fromEntries(windows.map((window, i) => [`mask${i}`, cache.mask(window, time)])),
      },
      Object.fromEntries(
        windows.flatMap((window) => [
          [slotsName(window), cache.slots(window)],
          [keysName(window), cache.slots(window) + time],
        ]),
      ),
    );
    cache.append(outputs, part.length);
    return outputs.logits!.data as Float32Array;
  }
}

/** Tokens that are read at a time, of so many in all. */
function parts(count: number): number[] {
  const whole = new Array<number>(Math.floor(count / LONGEST_STEP)).fill(LONGEST_STEP);
  return count % LONGEST_STEP === 0 ? whole : [...whole, count % LONGEST_STEP];
}

interface Step {
  readonly program: Program;
  readonly sequence: CachedSequence;
}

const slotsName = (window: number | undefined): string => `slots_${window ?? "all"}`;
const keysName = (window: number | undefined): string => `keys_${window ?? "all"}`;

/** The graph that reads `time` tokens after a cache of any number of slots. */
function buildStep(
  model: CausalLM,
  time: number,
): { sequence: CachedSequence; outputs: Record<string, Tensor>; sizes: DynamicSizes } {
  const standIns: Record<string, number> = {};
  let least = LEAST_STAND_IN;
  const slotsOf = (window: number | undefined): number => {
    if (standIns[slotsName(window)] === undefined) {
      const slots = primeFrom(least, () => true);
      standIns[slotsName(window)] = slots;
      standIns[keysName(window)] = slots + time;
      // Of numbers so near to each other none is a multiple of another; a prime has no factor in common with a number
      // a little larger.
      least = slots + time + 1;
    }
    return standIns[slotsName(window)]!;
  };
  const sequence = new CachedSequence(time, slotsOf);
  const hidden = model.hidden(placeholder("ids", [1, time], "int32"), { sequence });
  const last = time === 1 ? hidden : gatherRows(hidden, placeholder("last", [1], "int32"));
  const outputs: Record<string, Tensor> = { logits: model.project(last) };
  for (const [layer, { own }] of sequence.layers) {
    outputs[`key${layer}`] = own.key;
    outputs[`value${layer}`] = own.value;
  }
  return { sequence, outputs, sizes: new DynamicSizes(standIns) };
}

/** Cosines and sines at the positions of a text of that length, by the names of their placeholders. */
function angleFeeds(
  { rope, cos, sin }: AngleInputs,
  positions: Int32Array,
  length: number,
): [name: string, values: Float32Array][] {
  const angles = anglesAt(positions, rope, length);
  const named = ({ source }: Tensor): string => (source as { readonly name: string }).name;
  return [
    [named(cos), angles.cos],
    [named(sin), angles.sin],
  ];
}
