import { type Tensor, tensor } from "../tensor/tensor.js";

/** Rotary position embedding of one kind of layer (Su et al. 2021, arXiv:2104.09864). */
export interface Rope {
  readonly headDim: number;
  /** Leading features of each head that turn; the others stay as they are. Even. Default headDim: all. */
  readonly rotaryDim?: number | undefined;
  /** Base of the wavelengths, 10,000 in the paper. */
  readonly theta: number;
  /** Stretching of the model to longer texts. Default: none. */
  readonly scaling?: RopeScaling | undefined;
}

export type RopeScaling = LinearScaling | Llama3Scaling;

/** Positions are divided by `factor` (Chen et al. 2023, arXiv:2306.15595). */
export interface LinearScaling {
  readonly kind: "linear";
  readonly factor: number;
}

/**
 * Llama 3.1's scaling. A pair of features that turns often within `originalLength` tokens stays as it was, one that
 * turns seldom is slowed down by `factor`, and those between are slowed down in part.
 */
export interface Llama3Scaling {
  readonly kind: "llama3";
  readonly factor: number;
  /** Longest text before the stretching, in tokens. */
  readonly originalLength: number;
  /** Turns within originalLength up to which a pair counts as seldom. */
  readonly seldom: number;
  /** Turns within originalLength from which on a pair counts as often. Above `seldom`. */
  readonly often: number;
}

/** Cosines and sines of rotary angles, each (time, headDim / 2). */
export function rotaryAngles(time: number, rope: Rope): { cos: Tensor; sin: Tensor } {
  const half = rope.headDim / 2;
  const frequencies = rotaryFrequencies(rope);
  const angles = Float64Array.from({ length: time * half }, (_, i) => Math.floor(i / half) * frequencies[i % half]!);
  return {
    cos: tensor(Float32Array.from(angles, Math.cos), [time, half]),
    sin: tensor(Float32Array.from(angles, Math.sin), [time, half]),
  };
}

/**
 * Angle of each pair of features from one position to the next, in radians: theta^(−2i / headDim) for pair i, scaled.
 */
export function rotaryFrequencies({ headDim, theta, scaling }: Rope): Float64Array {
  return Float64Array.from({ length: headDim / 2 }, (_, i) => scaled(theta ** ((-2 * i) / headDim), scaling));
}

function scaled(frequency: number, scaling: RopeScaling | undefined): number {
  if (scaling === undefined) return frequency;
  if (scaling.kind === "linear") return frequency / scaling.factor;
  const { factor, originalLength, seldom, often } = scaling;
  const turns = (originalLength * frequency) / (2 * Math.PI);
  const kept = Math.min(1, Math.max(0, (turns - seldom) / (often - seldom)));
  return frequency * (kept + (1 - kept) / factor);
}
