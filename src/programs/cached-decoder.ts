import { append } from "../base/lists.js";
import { largest } from "../base/numbers.js";
import { DynamicSizes, primeFrom } from "../compiler/dynamic-sizes.js";
import type { CausalLM } from "../models/causal-lm.js";
import { CachedSequence } from "../nn/cached-sequence.js";
import type { AngleInputs } from "../nn/fed-sequence.js";
import { anglesAt, dependsOnLength, switchLength } from "../nn/rope.js";
import { gatherRows } from "../ops/gather.js";
import { Program } from "../runtime/program.js";
import type { SessionOptions } from "../runtime/session.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import { KeyValueCache, rowBytes, type SeenRows, type Stretch } from "./key-value-cache.js";

/** Most tokens that one step reads. */
const LONGEST_STEP = 256;
/** Fewest of a step that reads several. */
const SHORTEST_STEP = 8;
/**
 * A token each of at most this share of the rows is read row by row, since a step of all rows costs as much as a few of
 * single ones.
 */
const FEW_ROWS = 1 / 4;
/** Fewest tokens of a common beginning that are read once. */
const SHORTEST_SHARED = 8;
/**
 * The stand-in for a number of slots is larger than any size of a model, and its product with those is an exact
 * integer.
 */
const LEAST_STAND_IN = 2 ** 32;

/** Tokens to read after those of a row. */
export interface Reading {
  readonly row: number;
  /** At least one. */
  readonly ids: readonly number[];
}

/**
 * Reads tokens one after another, or several at a time, with the keys and values of those before in a cache; of several
 * texts at once, each in a row of its own. What reads single tokens is compiled once; what reads several, for each
 * power of two that a text is cut into. With one row, that is let go with the memory that it took.
 */
export class CachedDecoder {
  readonly #model: CausalLM;
  readonly #options: SessionOptions;
  /** By the number of rows and of tokens. */
  readonly #steps: Map<string, Step> = new Map();
  readonly #cache: KeyValueCache;
  /** Lengths of texts above which the tokens in the cache turn otherwise. */
  readonly #switches: readonly number[];
  /** The tokens in the cache, row by row. */
  readonly #texts: number[][];
  /** True if the keys and values of a beginning are the same in every text that begins so. */
  readonly #canShare: boolean;

  /**
   * Must be released. Later changes of the parameters are seen; later changes of the model's structure are not.
   * @param rows texts at once.
   */
  constructor(model: CausalLM, options: SessionOptions, rows = 1) {
    this.#model = model;
    this.#options = options;
    const { layers, angles } = buildStep(model, { rows, time: 1 }).sequence;
    this.#cache = new KeyValueCache(layers, rows);
    this.#texts = Array.from({ length: rows }, () => []);
    this.#canShare = ![...angles.values()].some(({ rope }) => dependsOnLength(rope));
    this.#switches = [...angles.values()]
      .map(({ rope }) => switchLength(rope))
      .filter((length) => length !== undefined);
  }

  /** Bytes that a text of so many tokens takes in the cache. */
  static rowBytes(model: CausalLM, tokens: number): number {
    return rowBytes(buildStep(model, { rows: 1, time: 1 }).sequence.layers, tokens);
  }

  get rows(): number {
    return this.#texts.length;
  }

  /** Tokens of a row in the cache: at most the model's maxSequenceLength. */
  lengthOf(row = 0): number {
    return this.#cache.lengthOf(row);
  }

  /** Begins a new text in a row. */
  clear(row = 0): void {
    this.#cache.clear(row);
    this.#texts[row] = [];
  }

  /** Compiles what reads so many tokens, which is done anyway when they are read. */
  async prepare(count: number): Promise<void> {
    for (const part of parts(count)) await this.#stepFor(part);
  }

  /** Reads at least one token of the only row into the cache. → scores of the token after them, (vocabSize). */
  async read(ids: readonly number[]): Promise<Float32Array> {
    return (await this.readRows([{ row: 0, ids }]))[0]!;
  }

  /**
   * Reads tokens of some rows, each named once. A beginning that texts have in common is read once. → scores of the
   * token after them, (vocabSize) each.
   */
  async readRows(readings: readonly Reading[]): Promise<Float32Array[]> {
    let unread = readings.map((reading) => this.#note(reading));
    const logits = new Map<number, Float32Array>();
    const read = async (pass: Pass): Promise<void> => {
      for (const [row, scores] of await this.#run(pass)) logits.set(row, scores);
    };
    const holder = this.#findHolder(unread);
    const sharing = new Set<number>();
    if (holder !== undefined) {
      const own = unread.filter(({ row }) => row === holder && this.lengthOf(row) === 0);
      for (const reading of own) await read({ readings: [reading], seen: "none" });
      unread = unread.filter((reading) => !own.includes(reading));
      unread = unread.map((reading) => this.#share(holder, reading, sharing));
    }
    const seenBy = ({ row }: Reading): SeenRows =>
      sharing.has(row) ? holder! : this.lengthOf(row) === 0 ? "none" : row;
    const few = this.rows === 1 ? 0 : Math.max(1, FEW_ROWS * this.rows);
    for (const pass of passesOf(unread, seenBy, few)) await read(pass);
    if (this.rows === 1 && unread[0]!.ids.length > 1) await this.#release(({ time }) => time > 1);
    return readings.map(({ row }) => logits.get(row)!);
  }

  release(): Promise<void> {
    return this.#release(() => true);
  }

  /** Adds the tokens to the text of the row. A text whose tokens turn otherwise from here on is read again. */
  #note({ row, ids }: Reading): Reading {
    const held = this.lengthOf(row);
    const text = this.#texts[row]!;
    append(text, ids);
    const isSwitched = held > 0 && this.#switches.some((at) => held <= at && at < text.length);
    if (isSwitched) this.clear(row);
    this.#texts[row] = text;
    return { row, ids: isSwitched ? text : ids };
  }

  /** The row with which most tokens of texts that begin now are shared, if any are; it may begin now itself. */
  #findHolder(readings: readonly Reading[]): number | undefined {
    if (!this.#canShare || this.rows === 1) return undefined;
    const fresh = readings.filter(({ row, ids }) => this.lengthOf(row) === 0 && ids.length <= LONGEST_STEP);
    let [best, most] = [undefined as number | undefined, 0];
    for (const row of fresh.length === 0 ? [] : this.#texts.keys()) {
      const isRead = this.lengthOf(row) > 0 || fresh.some((reading) => reading.row === row);
      if (!isRead) continue;
      const shared = fresh.reduce((sum, reading) => sum + this.#sharedTokens(row, reading), 0);
      if (shared > most) [best, most] = [row, shared];
    }
    return best;
  }

  /** Tokens with which the row and a text that begins now both begin, if they are enough to share. */
  #sharedTokens(holder: number, { row, ids }: Reading): number {
    const text = this.#texts[holder]!;
    const held = this.lengthOf(holder) || text.length;
    if (holder === row || this.lengthOf(row) > 0 || !this.#cache.holdsAll(held)) return 0;
    // The last token is read in any case, for the scores after it.
    const most = Math.min(ids.length - 1, held);
    let count = 0;
    while (count < most && text[count] === ids[count]) count++;
    return count < SHORTEST_SHARED ? 0 : count;
  }

  /** Gives a text that begins now what it shares with the holder. → what is left to read. */
  #share(holder: number, reading: Reading, sharing: Set<number>): Reading {
    const count = this.#sharedTokens(holder, reading);
    if (count === 0) return reading;
    this.#cache.copy(holder, reading.row, count);
    sharing.add(reading.row);
    return { row: reading.row, ids: reading.ids.slice(count) };
  }

  async #release(chosen: (sequence: CachedSequence) => boolean): Promise<void> {
    for (const [key, { program, sequence }] of this.#steps) {
      if (!chosen(sequence)) continue;
      this.#steps.delete(key);
      await program.release();
    }
  }

  /** @param rows that read a token each; of several tokens, those that the step can hold. */
  async #stepFor(count: number, rows = this.rows): Promise<Step> {
    let time = count === 1 ? 1 : SHORTEST_STEP;
    while (time < count) time *= 2;
    const key = `${time === 1 ? rows : "some"} × ${time}`;
    let step = this.#steps.get(key);
    if (step === undefined) {
      const { sequence, outputs, sizes } = buildStep(this.#model, { rows: time === 1 ? rows : this.rows, time });
      step = { sequence, program: await Program.compile(outputs, this.#options, sizes) };
      this.#steps.set(key, step);
    }
    return step;
  }

  /** → scores of the token after those of each row. */
  async #run({ readings, seen }: Pass): Promise<[row: number, scores: Float32Array][]> {
    const isOneEach = seen === "all";
    const count = isOneEach ? 1 : readings.reduce((sum, { ids }) => sum + ids.length, 0);
    const { program, sequence } = await this.#stepFor(count, isOneEach ? this.rows : 1);
    const { batch, time, angles, masks } = sequence;
    const cache = this.#cache;
    // A pass attends to all that is reserved, so no more than it needs is.
    cache.reserve(largest(readings.map(({ row, ids }) => this.lengthOf(row) + ids.length)));
    let start = 0;
    const stretches = readings.map(({ row, ids }): Stretch => {
      const stretch = { row, batch: isOneEach ? row : 0, start, count: ids.length };
      if (!isOneEach) start += ids.length;
      return stretch;
    });
    const placeOf = ({ batch: at, start: first }: Stretch): number => at * time + first;
    // What the texts leave of the step is seen by none of them.
    const ids = new Int32Array(batch * time);
    const positions = new Int32Array(batch * time);
    const last = new Int32Array(this.rows);
    for (const [i, stretch] of stretches.entries()) {
      const [place, held] = [placeOf(stretch), this.lengthOf(stretch.row)];
      ids.set(readings[i]!.ids, place);
      for (let token = 0; token < stretch.count; token++) positions[place + token] = held + token;
      last[i] = place + stretch.count - 1;
    }
    const turns = stretches.map((stretch) => {
      const [place, { length }] = [placeOf(stretch), this.#texts[stretch.row]!];
      return { place, positions: positions.subarray(place, place + stretch.count), length };
    });
    const windows = [...masks.keys()];
    const outputs = await program.run(
      {
        ...{ ids, positions, last },
        ...cache.feeds(seen),
        ...Object.fromEntries([...angles.values()].flatMap((each) => angleFeeds(each, turns))),
        ...Object.fromEntries(
          windows.map((window, i) => [`mask${i}`, cache.mask(window, stretches, { batch, time, seen })]),
        ),
      },
      Object.fromEntries(
        windows.flatMap((window) => [
          [slotsName(window), cache.slots(window, seen)],
          [keysName(window), cache.slots(window, seen) + time],
        ]),
      ),
    );
    cache.append(outputs, stretches);
    const logits = outputs.logits!.data as Float32Array;
    const { vocabSize } = this.#model.config;
    return stretches.map(({ row }, i) => {
      const at = isOneEach ? row : i;
      return [row, this.rows === 1 ? logits : logits.slice(at * vocabSize, (at + 1) * vocabSize)];
    });
  }
}

/** Tokens that are read at a time, of so many in all. */
function parts(count: number): number[] {
  const whole = new Array<number>(Math.floor(count / LONGEST_STEP)).fill(LONGEST_STEP);
  return count % LONGEST_STEP === 0 ? whole : [...whole, count % LONGEST_STEP];
}

/** The readings of one step: a token each of some rows, which sees all; or else tokens of rows one after another. */
interface Pass {
  readonly readings: readonly Reading[];
  readonly seen: SeenRows;
}

/**
 * The steps that read all of it: single tokens together, but a few of them one by one; texts that see none of the
 * cache, or the same row, together; a text after tokens of its own, or longer than a step, alone.
 */
function passesOf(readings: readonly Reading[], seenBy: (reading: Reading) => SeenRows, few: number): Pass[] {
  const passes: Pass[] = [];
  const single: Reading[] = [];
  const open = new Map<SeenRows, { readonly readings: Reading[]; room: number }>();
  for (const { row, ids } of readings) {
    if (ids.length === 1) single.push({ row, ids });
    else if (ids.length > LONGEST_STEP) {
      let start = 0;
      for (const count of parts(ids.length)) {
        passes.push({
          readings: [{ row, ids: ids.slice(start, start + count) }],
          seen: count === 1 ? "all" : start === 0 ? seenBy({ row, ids }) : row,
        });
        start += count;
      }
    } else {
      const seen = seenBy({ row, ids });
      let together = open.get(seen);
      if (together === undefined || ids.length > together.room) {
        together = { readings: [], room: LONGEST_STEP };
        open.set(seen, together);
        passes.push({ readings: together.readings, seen });
      }
      together.readings.push({ row, ids });
      together.room -= ids.length;
    }
  }
  if (single.length > few) return [...passes, { readings: single, seen: "all" }];
  return [...passes, ...single.map((reading) => ({ readings: [reading], seen: seenBy(reading) }))];
}

interface Step {
  readonly program: Program;
  readonly sequence: CachedSequence;
}

const slotsName = (window: number | undefined): string => `slots_${window ?? "all"}`;
const keysName = (window: number | undefined): string => `keys_${window ?? "all"}`;

/**
 * The graph that reads a token each of all rows after a cache of any number of slots; or `time` tokens of up to so many
 * rows, one after another.
 */
function buildStep(
  model: CausalLM,
  { rows, time }: { readonly rows: number; readonly time: number },
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
  const batch = time === 1 ? rows : 1;
  const sequence = new CachedSequence(batch, time, slotsOf);
  const hidden = model.hidden(placeholder("ids", [batch, time], "int32"), { sequence });
  const last = time === 1 ? hidden : gatherRows(hidden, placeholder("last", [rows], "int32"));
  const outputs: Record<string, Tensor> = { logits: model.project(last) };
  for (const [layer, { own }] of sequence.layers) {
    outputs[`key${layer}`] = own.key;
    outputs[`value${layer}`] = own.value;
  }
  return { sequence, outputs, sizes: new DynamicSizes(standIns) };
}

/** Tokens of a text in a step. */
interface Turns {
  readonly place: number;
  readonly positions: Int32Array;
  /** Tokens of the text as far as it is being read. */
  readonly length: number;
}

/** Cosines and sines at the positions of the texts, by the names of their placeholders. */
function angleFeeds({ rope, cos, sin }: AngleInputs, turns: readonly Turns[]): [name: string, values: Float32Array][] {
  const named = ({ source }: Tensor): string => (source as { readonly name: string }).name;
  const [rows, half] = cos.shape as [number, number];
  const feeds = { cos: new Float32Array(rows * half), sin: new Float32Array(rows * half) };
  for (const { place, positions, length } of turns) {
    const angles = anglesAt(positions, rope, length);
    feeds.cos.set(angles.cos, place * half);
    feeds.sin.set(angles.sin, place * half);
  }
  return [
    [named(cos), feeds.cos],
    [named(sin), feeds.sin],
  ];
}
