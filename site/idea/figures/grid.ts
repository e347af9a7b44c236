import {
  createQuantizedWeight,
  createQuantizer,
  deltaLog,
  FourBitWeight,
  Int8Weight,
  interpret,
  LoRAAdapter,
  type MergePolicy,
  type QuantizationFormat,
  type QuantizedWeight,
  Rng,
  requantize,
} from "highrank";

/** Rows and columns of the block of a weight matrix. */
export const SIDE = 8;

/** Standard deviation of the weights. */
const DEVIATION = 0.02;

export interface GridSettings {
  readonly format: QuantizationFormat;
  /** Of each entry of the update, as a share of the weights' deviation. */
  readonly size: number;
  readonly merges: number;
}

/** Weights after a number of merges, in units of their deviation. */
export interface Grid {
  /** Levels that an entry can have: the same for all entries of nf4 and fp4, those of the first row for int8. */
  readonly levels: readonly number[];
  readonly before: readonly number[];
  readonly codesBefore: readonly number[];
  readonly requantized: readonly number[];
  readonly codes: readonly number[];
  /** Base and sum of the delta log, in float32. */
  readonly exact: readonly number[];
  /** Entries whose update is below half of the step to the next level on its side, before the first merge. */
  readonly below: number;
  /** After 0, 1, 2 … merges. */
  readonly merged: readonly GridMerge[];
}

/** What a merge leaves: errors ‖weights − due‖ / ‖due‖ against what base and sum of updates should be. */
export interface GridMerge {
  readonly requantized: number;
  /** The codes that the delta log rounds anew from the exact sum. */
  readonly working: number;
  readonly exact: number;
  /** Share of the sum of all updates in the requantized weights. */
  readonly taken: number;
}

/** Merges one small update of rank 1 again and again into a quantized block, by two of the library's policies. */
export async function mergeIntoGrid({ format, size, merges }: GridSettings): Promise<Grid> {
  const rng = new Rng(5);
  const [lossy, working] = [emptyWeight(format), emptyWeight(format)];
  lossy.assign(Float32Array.from({ length: SIDE * SIDE }, () => DEVIATION * rng.normal()));
  // The start lies on the grid, so that every error is one of merging.
  const base = lossy.values();
  working.assign(base);
  const update = smallUpdate(size, rng);

  const log: Float32Array[] = [];
  const master = async () => log.reduce((total, each) => total.map((value, i) => value + each[i]!), base);
  const policies: readonly (readonly [QuantizedWeight, MergePolicy])[] = [
    [lossy, requantize()],
    [working, deltaLog(master)],
  ];
  const codesBefore = codesOf(lossy);
  const below = Array.from(base, (value, i) => {
    return Math.abs(update[i]!) < halfStep(levelsOf(lossy, Math.floor(i / SIDE)), value, update[i]!);
  });
  const merged = [measure(0)];
  let exact = base;
  for (let merge = 1; merge <= merges; merge++) {
    log.push(update);
    for (const [weight, policy] of policies) await policy.merge(weight, update, rng);
    exact = await policies[1]![1].exactWeight(working);
    merged.push(measure(merge));
  }
  return {
    levels: shares(levelsOf(lossy, 0)),
    before: shares(base),
    codesBefore,
    requantized: shares(lossy.values()),
    codes: codesOf(lossy),
    exact: shares(exact),
    below: below.filter(Boolean).length,
    merged,
  };

  function measure(merge: number): GridMerge {
    // In double precision: what the sum should be.
    const due = Array.from(base, (value, i) => value + merge * update[i]!);
    const errorOf = (values: Float32Array) => norm(due.map((value, i) => values[i]! - value)) / norm(due);
    const moved = lossy.values().map((value, i) => value - base[i]!);
    const share = dot(moved, update) / (merge * dot(update, update));
    return {
      requantized: errorOf(lossy.values()),
      working: errorOf(working.values()),
      exact: errorOf(merge === 0 ? base : exact),
      taken: merge === 0 ? 1 : share,
    };
  }
}

function emptyWeight(format: QuantizationFormat): QuantizedWeight {
  return createQuantizedWeight([SIDE, SIDE], createQuantizer(format));
}

/** B·A of rank 1 whose entries all have one size. */
function smallUpdate(size: number, rng: Rng): Float32Array {
  const adapter = new LoRAAdapter(SIDE, SIDE, { rank: 1 }, rng);
  const signs = () => Float32Array.from({ length: SIDE }, () => Math.sign(rng.normal()));
  adapter.loraA.assign(signs());
  adapter.loraB.assign(signs().map((sign) => sign * size * DEVIATION));
  return interpret([adapter.calculateWeightUpdate()])[0] as Float32Array;
}

function codesOf(weight: QuantizedWeight): number[] {
  if (weight instanceof Int8Weight) return [...weight.arrays.codes];
  const { packed } = (weight as FourBitWeight).arrays;
  return Array.from({ length: weight.size }, (_, i) => (i % 2 === 0 ? packed[i >> 1]! >> 4 : packed[i >> 1]! & 15));
}

/** The values that an entry of a row can have, in rising order. */
function levelsOf(weight: QuantizedWeight, row: number): number[] {
  if (weight instanceof Int8Weight) {
    return Array.from({ length: 255 }, (_, i) => ((i - 127) * weight.arrays.scales[row]!) / 127);
  }
  const { quantizer, arrays } = weight as FourBitWeight;
  // A block of its own with each code once.
  const packed = Uint8Array.from({ length: 8 }, (_, i) => 34 * i + 1);
  const absmax = (arrays.absmax as Float32Array).slice(0, 1);
  const values = new FourBitWeight([1, 16], { ...quantizer, blockSize: 16 }, { packed, absmax }).values();
  return [...new Set(values.map((value) => value + 0))].sort((x, y) => x - y); // FP4 has a zero of each sign
}

/**
 * Half of the distance from a level to the next one in the direction given. 0 at the ends of the grid: the largest
 * entry sets the scale, which moves with it.
 */
function halfStep(levels: readonly number[], value: number, direction: number): number {
  const nearest = levels.reduce((best, level) => (Math.abs(level - value) < Math.abs(best - value) ? level : best));
  const at = levels.indexOf(nearest);
  if (at === 0 || at === levels.length - 1) return 0;
  return Math.abs(levels[at + Math.sign(direction)]! - nearest) / 2;
}

function shares(values: Iterable<number>): number[] {
  return Array.from(values, (value) => value / DEVIATION);
}

function norm(values: readonly number[]): number {
  return Math.sqrt(values.reduce((total, value) => total + value * value, 0));
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((total, value, i) => total + value * b[i]!, 0);
}
