import { shownValue } from "../base/json.js";
import type { Rope, RopeScaling } from "../nn/rope.js";
import type { ConfigReader } from "./config-reader.js";

/** The keys of an architecture's rotary positions. */
export interface RopeKeys {
  /** Key and default of the base. Default: "rope_theta", 10,000. */
  readonly theta?: readonly [key: string, fallback: number];
  /** Key and default of the share of each head that turns. Default: none; all of it turns. */
  readonly share?: readonly [key: string, fallback: number];
  /** max_position_embeddings. */
  readonly maxLength: number;
  /** Length before the stretching. Default: as the scaling says, or else `maxLength`. */
  readonly originalLength?: number | undefined;
  /** Types of scaling that transformers computes for this architecture, by the names of configs. Default: all. */
  readonly types?: Readonly<Record<string, ScalingType>>;
}

/** Objects of a config that describe rotary positions; the second one in newer versions of transformers. */
const OBJECTS = ["rope_scaling", "rope_parameters"];

/**
 * Reads rotary positions that are the same in all layers. Configs hold scaling under `rope_scaling` and the rest beside
 * it; newer versions of transformers hold all in `rope_parameters`.
 */
export function readRope(reader: ConfigReader, headDim: number, keys: RopeKeys): Rope {
  reader.only("rope_interleaved", false);
  const given = OBJECTS.filter((key) => Object.keys(reader.json[key] ?? {}).length > 0);
  const ropes = (given.length === 0 ? OBJECTS.slice(1) : given).map((key) => {
    const parameters = reader.object(key);
    // These keys belong to models with several kinds of layers.
    for (const each of LAYER_KINDS) parameters.only(each, null);
    return readParameters(reader, parameters, headDim, keys);
  });
  if (new Set(ropes.map((rope) => JSON.stringify(rope))).size > 1)
    reader.faults.push(`${OBJECTS.join(" and ")} differ; keep one of them`);
  return ropes[0]!;
}

export const LAYER_KINDS = ["full_attention", "sliding_attention"] as const;

/** Reads one object of rotary positions; what it leaves out stands beside it in the config. */
export function readParameters(
  reader: ConfigReader,
  parameters: ConfigReader,
  headDim: number,
  { theta = ["rope_theta", 10_000], share, types = SCALING_TYPES, ...lengths }: RopeKeys,
): Rope {
  const type = typeOf(parameters, types);
  for (const key of Object.keys(parameters.json))
    if (!COMMON_KEYS.includes(key) && !type.keys.includes(key) && parameters.has(key)) parameters.only(key, null);
  const context = { headDim, ...lengths };
  const rotary = { headDim, theta: parameters.positive("rope_theta", reader.positive(...theta)) };
  const shareKey = "partial_rotary_factor";
  if (type.turnsShare === true) {
    const part = parameters.atLeastZero(shareKey, reader.atLeastZero(share?.[0] ?? shareKey, share?.[1] ?? 1));
    if (part > 1) parameters.faults.push(`${shareKey} must be at most 1, got ${part}`);
    return { ...rotary, scaling: type.read(parameters, { ...context, share: part }) };
  }
  if (share === undefined) {
    for (const each of [reader, parameters]) each.only(shareKey, 1);
    return { ...rotary, scaling: type.read(parameters, { ...context, share: 1 }) };
  }
  const part = parameters.positive(shareKey, reader.positive(...share));
  const rotaryDim = Math.floor(headDim * part);
  if (!(rotaryDim >= 2 && rotaryDim <= headDim && rotaryDim % 2 === 0))
    reader.faults.push(`${share[0]} must turn an even number of the ${headDim} features of a head, got ${rotaryDim}`);
  return { ...rotary, rotaryDim, scaling: type.read(parameters, { ...context, headDim: rotaryDim, share: 1 }) };
}

/** `type` is the older name of `rope_type`. */
function typeOf(parameters: ConfigReader, types: Readonly<Record<string, ScalingType>>): ScalingType {
  return parameters.choice(parameters.has("rope_type") ? "rope_type" : "type", types, "default");
}

/** Sizes that the parameters of a scaling refer to. */
interface ScalingContext extends Pick<RopeKeys, "maxLength" | "originalLength"> {
  /** Features of a head that turn. */
  readonly headDim: number;
  readonly share: number;
}

/** One type of scaling, as configs say it. */
export interface ScalingType {
  /** Keys beside those that all types have. */
  readonly keys: readonly string[];
  /** True if `partial_rotary_factor` belongs to the scaling. */
  readonly turnsShare?: boolean;
  read(parameters: ConfigReader, context: ScalingContext): RopeScaling | undefined;
}

/** The original length and `finetuned` stand in configs of types that do not use them. */
const COMMON_KEYS = [
  ...["rope_type", "type", "rope_theta", "partial_rotary_factor"],
  ...["original_max_position_embeddings", "finetuned", ...LAYER_KINDS],
];

function originalLengthOf(parameters: ConfigReader, { originalLength, maxLength }: ScalingContext): number {
  return originalLength ?? parameters.count("original_max_position_embeddings", maxLength);
}

const PLAIN: ScalingType = { keys: [], read: () => undefined };

const LONGROPE: ScalingType = {
  keys: ["short_factor", "long_factor", "factor", "attention_factor"],
  read(parameters, context) {
    const originalLength = originalLengthOf(parameters, context);
    const factor = parameters.positive("factor", context.maxLength / originalLength);
    const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalLength));
    return {
      kind: "longrope",
      originalLength,
      shortFactors: factorsOf(parameters, "short_factor", context),
      longFactors: factorsOf(parameters, "long_factor", context),
      attentionFactor: parameters.positive("attention_factor", usual),
    };
  },
};

/** The types of transformers' modeling_rope_utils. */
export const SCALING_TYPES: Readonly<Record<string, ScalingType>> = {
  default: PLAIN,
  linear: {
    keys: ["factor"],
    read: (parameters) => ({ kind: "linear", factor: parameters.positive("factor") }),
  },
  llama3: {
    keys: ["factor", "low_freq_factor", "high_freq_factor"],
    read(parameters, context) {
      const [seldom, often] = [parameters.positive("low_freq_factor"), parameters.positive("high_freq_factor")];
      if (often <= seldom)
        parameters.faults.push(`high_freq_factor (${often}) must be above low_freq_factor (${seldom})`);
      const originalLength = originalLengthOf(parameters, context);
      return { kind: "llama3", factor: parameters.positive("factor"), originalLength, seldom, often };
    },
  },
  dynamic: {
    keys: ["factor"],
    read: (parameters, { maxLength }) => ({
      kind: "dynamic",
      factor: parameters.positive("factor"),
      originalLength: maxLength,
    }),
  },
  yarn: {
    keys: ["factor", "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate"],
    read(parameters, context) {
      const originalLength = originalLengthOf(parameters, context);
      const factor = parameters.positive("factor", context.maxLength / originalLength);
      const growth = (mscale: number): number => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);
      const [mscale, all] = [parameters.atLeastZero("mscale", 0), parameters.atLeastZero("mscale_all_dim", 0)];
      const usual = mscale > 0 && all > 0 ? growth(mscale) / growth(all) : growth(1);
      return {
        kind: "yarn",
        factor,
        originalLength,
        seldom: parameters.positive("beta_slow", 1),
        often: parameters.positive("beta_fast", 32),
        truncates: parameters.boolean("truncate", true),
        attentionFactor: parameters.positive("attention_factor", usual),
      };
    },
  },
  longrope: LONGROPE,
  proportional: {
    keys: ["factor"],
    turnsShare: true,
    read: (parameters, { share }) => ({ kind: "proportional", factor: parameters.positive("factor", 1), share }),
  },
};

/** Phi 3 has no others; its first configs call LongRoPE by the two older names. */
export const PHI3_SCALING_TYPES: Readonly<Record<string, ScalingType>> = {
  default: PLAIN,
  longrope: LONGROPE,
  su: LONGROPE,
  yarn: LONGROPE,
};

function factorsOf(parameters: ConfigReader, key: string, { headDim }: ScalingContext): readonly number[] {
  const { [key]: given } = parameters.json;
  const factors: readonly unknown[] = Array.isArray(given) ? given : [];
  if (factors.length === headDim / 2 && factors.every((each): each is number => typeof each === "number" && each > 0))
    return factors;
  parameters.faults.push(`${key} must be ${headDim / 2} numbers above 0, got ${shownValue(given)}`);
  return [];
}

/** Longest text for which a model of so many positions is meant; some scalings go beyond them. */
export function usableLength(maxLength: number, scaling: RopeScaling | undefined): number {
  if (scaling?.kind !== "dynamic" && scaling?.kind !== "yarn") return maxLength;
  return Math.max(maxLength, Math.floor(scaling.factor * scaling.originalLength));
}

/** Writes the value of `rope_scaling`; null for no scaling. */
export function writeScaling(scaling: RopeScaling | undefined): Record<string, unknown> | null {
  if (scaling === undefined) return null;
  const { kind: rope_type } = scaling;
  switch (scaling.kind) {
    case "linear":
    case "dynamic":
      return { rope_type, factor: scaling.factor };
    case "proportional":
      return { rope_type, factor: scaling.factor, partial_rotary_factor: scaling.share };
    case "llama3":
      return {
        ...{ rope_type, factor: scaling.factor, low_freq_factor: scaling.seldom, high_freq_factor: scaling.often },
        original_max_position_embeddings: scaling.originalLength,
      };
    case "yarn":
      return {
        ...{ rope_type, factor: scaling.factor, beta_slow: scaling.seldom, beta_fast: scaling.often },
        ...{ truncate: scaling.truncates, attention_factor: scaling.attentionFactor },
        original_max_position_embeddings: scaling.originalLength,
      };
    case "longrope":
      return {
        ...{ rope_type, short_factor: scaling.shortFactors, long_factor: scaling.longFactors },
        attention_factor: scaling.attentionFactor,
        original_max_position_embeddings: scaling.originalLength,
      };
  }
}
