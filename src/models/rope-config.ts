import type { Rope, RopeScaling } from "../nn/rope.js";
import type { ConfigReader } from "./config-reader.js";

/** Keys of rotary positions that differ between architectures. */
export interface RopeKeys {
  /** Default "rope_theta". */
  readonly theta?: string;
  /** Key and default of the share of each head that turns. Default: none; all of it turns. */
  readonly share?: readonly [key: string, fallback: number];
}

/**
 * Reads rotary positions that are the same in all layers. Configs hold scaling under `rope_scaling` and the rest beside
 * it; newer versions of transformers hold all in `rope_parameters`.
 */
export function readRope(reader: ConfigReader, headDim: number, { theta = "rope_theta", share }: RopeKeys = {}): Rope {
  reader.only("rope_interleaved", false);
  const [scaling, parameters] = [reader.object("rope_scaling"), reader.object("rope_parameters")];
  // These keys belong to models with several kinds of layers.
  for (const key of ["full_attention", "sliding_attention"]) parameters.only(key, null);
  const shareKey = "partial_rotary_factor";
  if (share === undefined) for (const each of [reader, parameters]) each.only(shareKey, 1);
  return {
    headDim,
    rotaryDim:
      share && readRotaryDim(reader, headDim, parameters.positive(shareKey, reader.positive(...share)), share[0]),
    theta: parameters.positive("rope_theta", scaling.positive("rope_theta", reader.positive(theta, 10_000))),
    scaling: readScaling(reader, scaling, parameters),
  };
}

function readRotaryDim({ faults }: ConfigReader, headDim: number, share: number, key: string): number {
  const rotaryDim = Math.floor(headDim * share);
  if (!(rotaryDim >= 2 && rotaryDim <= headDim && rotaryDim % 2 === 0))
    faults.push(`${key} must turn an even number of the ${headDim} features of a head, got ${rotaryDim}`);
  return rotaryDim;
}

/** Scaling from `rope_scaling`, or from the `parameters` that replace it in newer versions of transformers. */
export function readScaling(
  { faults }: ConfigReader,
  scaling: ConfigReader,
  parameters: ConfigReader,
): RopeScaling | undefined {
  // `type` is the older name of `rope_type`.
  const [older, newer] = [scaling, parameters].map((each) =>
    each.choice(each.has("rope_type") ? "rope_type" : "type", SCALINGS, "default")(each),
  );
  if (older !== undefined && newer !== undefined && JSON.stringify(older) !== JSON.stringify(newer))
    faults.push("rope_scaling and rope_parameters differ; keep one of them");
  return older ?? newer;
}

const SCALINGS: Readonly<Record<string, (reader: ConfigReader) => RopeScaling | undefined>> = {
  default: () => undefined,
  linear: (reader) => ({ kind: "linear", factor: reader.positive("factor") }),
  llama3(reader) {
    const [seldom, often] = [reader.positive("low_freq_factor"), reader.positive("high_freq_factor")];
    if (often <= seldom) reader.faults.push(`high_freq_factor (${often}) must be above low_freq_factor (${seldom})`);
    const originalLength = reader.count("original_max_position_embeddings");
    return { kind: "llama3", factor: reader.positive("factor"), originalLength, seldom, often };
  },
};

/** Writes the value of `rope_scaling`; null for no scaling. */
export function writeScaling(scaling: RopeScaling | undefined): Record<string, unknown> | null {
  if (scaling === undefined) return null;
  const { kind, factor } = scaling;
  if (kind === "linear") return { rope_type: kind, factor };
  return {
    rope_type: kind,
    factor,
    low_freq_factor: scaling.seldom,
    high_freq_factor: scaling.often,
    original_max_position_embeddings: scaling.originalLength,
  };
}
