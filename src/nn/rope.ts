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

export type RopeScaling =
  | LinearScaling
  | Llama3Scaling
  | YarnScaling
  | DynamicScaling
  | LongRopeScaling
  | ProportionalScaling;

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

/**
 * YaRN (Peng et al. 2023, arXiv:2309.00071): as Llama 3's scaling, but the pairs between are slowed down by their
 * number; scores grow by attentionFactor².
 */
export interface YarnScaling {
  readonly kind: "yarn";
  readonly factor: number;
  readonly originalLength: number;
  readonly seldom: number;
  readonly often: number;
  /** True if the first and the last pair between are whole numbers. */
  readonly truncates: boolean;
  /** Factor of turned queries and of turned keys. */
  readonly attentionFactor: number;
}

/** Texts of more than `originalLength` tokens have a larger theta, and the larger the longer they are ("NTK-aware"). */
export interface DynamicScaling {
  readonly kind: "dynamic";
  readonly factor: number;
  readonly originalLength: number;
}

/**
 * LongRoPE (Ding et al. 2024, arXiv:2402.13753): the wavelength of each pair has a factor of its own, and another one
 * in texts of more than `originalLength` tokens.
 */
export interface LongRopeScaling {
  readonly kind: "longrope";
  readonly originalLength: number;
  /** One of each pair. */
  readonly shortFactors: readonly number[];
  readonly longFactors: readonly number[];
  /** Factor of turned queries and of turned keys. */
  readonly attentionFactor: number;
}

/** The first pairs alone turn, at the speed that they have among all pairs of the head, divided by `factor`. */
export interface ProportionalScaling {
  readonly kind: "proportional";
  readonly factor: number;
  /** Share of the pairs that turn, from 0 to 1. */
  readonly share: number;
}

/** Cosines and sines of rotary angles, each (positions, headDim / 2), with the scaling's attentionFactor. */
export interface RotaryAngles<T> {
  readonly cos: T;
  readonly sin: T;
}

/** Angles at the first `time` positions of a text of that length. */
export function rotaryAngles(time: number, rope: Rope): RotaryAngles<Tensor> {
  const { cos, sin } = anglesAt(
    Array.from({ length: time }, (_, i) => i),
    rope,
    time,
  );
  const shape = [time, rope.headDim / 2];
  return { cos: tensor(cos, shape), sin: tensor(sin, shape) };
}

/** Angles at some positions of a text of `length` tokens. */
export function anglesAt(positions: ArrayLike<number>, rope: Rope, length: number): RotaryAngles<Float32Array> {
  const frequencies = rotaryFrequencies(rope, length);
  const half = frequencies.length;
  const angles = Float64Array.from(
    { length: positions.length * half },
    (_, i) => positions[Math.floor(i / half)]! * frequencies[i % half]!,
  );
  const factor = attentionFactor(rope);
  return {
    cos: Float32Array.from(angles, (angle) => factor * Math.cos(angle)),
    sin: Float32Array.from(angles, (angle) => factor * Math.sin(angle)),
  };
}

/** Factor of turned queries and of turned keys. */
export function attentionFactor({ scaling }: Rope): number {
  return scaling !== undefined && "attentionFactor" in scaling ? scaling.attentionFactor : 1;
}

/** Length of texts above which all their tokens turn in another way than in shorter ones; undefined if none does. */
export function switchLength({ scaling }: Rope): number | undefined {
  return scaling?.kind === "longrope" ? scaling.originalLength : undefined;
}

/** True if a token's angles depend on the length of the text that it is read in. */
export function dependsOnLength({ scaling }: Rope): boolean {
  return scaling?.kind === "dynamic" || scaling?.kind === "longrope";
}

/**
 * Angle of each pair of features from one position to the next in a text of `length` tokens, in radians:
 * theta^(−2i / headDim) for pair i, scaled.
 */
export function rotaryFrequencies({ headDim, theta, scaling }: Rope, length: number): Float64Array {
  const half = headDim / 2;
  const plain = Float64Array.from({ length: half }, (_, i) => theta ** ((-2 * i) / headDim));
  switch (scaling?.kind) {
    case undefined:
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      return plain.map((frequency) => {
        const { originalLength, seldom, often } = scaling;
        const turns = (originalLength * frequency) / (2 * Math.PI);
        return slowed(frequency, (turns - seldom) / (often - seldom), scaling.factor);
      });
    case "yarn": {
      const [first, last] = yarnRamp(scaling, headDim, theta);
      return plain.map((frequency, i) => slowed(frequency, 1 - (i - first) / (last - first), scaling.factor));
    }
    case "dynamic": {
      const stretch = dynamicStretch(scaling, length);
      return plain.map((frequency, i) => frequency * stretch ** dynamicExponent(i, headDim));
    }
    case "longrope": {
      const factors = length > scaling.originalLength ? scaling.longFactors : scaling.shortFactors;
      return plain.map((frequency, i) => frequency / factors[i]!);
    }
    case "proportional": {
      const turning = Math.floor(scaling.share * half);
      return plain.map((frequency, i) => (i < turning ? frequency / scaling.factor : 0));
    }
  }
}

/** Slows a frequency down by `factor`, apart from the share of it that is kept, from 0 to 1. */
function slowed(frequency: number, kept: number, factor: number): number {
  const share = Math.min(1, Math.max(0, kept));
  return frequency * (share + (1 - share) / factor);
}

/** The pairs between which YaRN goes over from kept to slowed down. */
function yarnRamp(
  { originalLength, seldom, often, truncates }: YarnScaling,
  headDim: number,
  theta: number,
): [first: number, last: number] {
  const pairOf = (turns: number): number =>
    (headDim * Math.log(originalLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = truncates
    ? [Math.floor(pairOf(often)), Math.ceil(pairOf(seldom))]
    : [pairOf(often), pairOf(seldom)];
  const [low, high] = [Math.max(first, 0), Math.min(last, headDim - 1)];
  return [low, low === high ? high + 0.001 : high];
}

/** The number whose powers are the factors of the frequencies in a text of that length. */
export function dynamicStretch({ factor, originalLength }: DynamicScaling, length: number): number {
  return (factor * Math.max(length, originalLength)) / originalLength - (factor - 1);
}

/** The power of it for pair i. A base of theta · stretch^(d / (d − 2)), to the power of −2i / d. */
export function dynamicExponent(i: number, headDim: number): number {
  return (-2 * i) / (headDim - 2);
}
