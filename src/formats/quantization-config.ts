import { CheckpointError, ModelError } from "../base/errors.js";
import { isObject, kindOf, shownValue } from "../base/json.js";
import { checkpointFault } from "../files/faults.js";
import { type FourBitType, isFourBitType } from "../ops/four-bit-codes.js";
import type { QuantizationFormat } from "../quant/quantizer.js";
import { FLOAT_DTYPES, type FloatDType, floatDType } from "./quant-state.js";

/** A model's quantized weights as announced in config.json. Block sizes are stored with the weights. */
export interface AnnouncedQuantization {
  readonly format: QuantizationFormat;
  /** True if the scales of nf4 and fp4 are quantized to 8 bits themselves. */
  readonly doubleQuant: boolean;
  /** Type in which transformers multiplies nf4 and fp4 weights. */
  readonly computeDtype: FloatDType;
  /**
   * Linear layers that are not quantized, by name or a part of their path; null for the default of transformers: the
   * output layer.
   */
  readonly skippedModules: readonly string[] | null;
}

/** The quantization_config of a config.json, with which transformers loads the weights through bitsandbytes. */
export function quantizationConfig({
  format,
  doubleQuant,
  computeDtype,
  skippedModules,
}: AnnouncedQuantization): Record<string, unknown> {
  const isFourBit = format !== "int8";
  return {
    _load_in_4bit: isFourBit,
    _load_in_8bit: !isFourBit,
    bnb_4bit_compute_dtype: computeDtype,
    bnb_4bit_quant_storage: "uint8",
    bnb_4bit_quant_type: isFourBit ? format : "fp4",
    bnb_4bit_use_double_quant: doubleQuant,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: skippedModules,
    llm_int8_threshold: 6,
    load_in_4bit: isFourBit,
    load_in_8bit: !isFourBit,
    quant_method: "bitsandbytes",
  };
}

/**
 * Reads the quantization_config of a config.json, with the defaults of transformers for missing keys; null without one.
 * Keys that do not change the weights are ignored.
 * @throws CheckpointError with all faults; ModelError for methods other than bitsandbytes.
 */
export function parseQuantizationConfig(config: Readonly<Record<string, unknown>>): AnnouncedQuantization | null {
  const fields = config.quantization_config ?? null;
  if (fields === null) return null;
  const where = "config.json: quantization_config";
  if (!isObject(fields)) throw checkpointFault(where, [`must be an object, not ${kindOf(fields)}`]);
  // Early versions of transformers supported only bitsandbytes and did not name it.
  const { quant_method: method = "bitsandbytes" } = fields;
  if (method !== "bitsandbytes") {
    const wayOut = "take the model unquantized or from bitsandbytes";
    throw checkpointFault(where, [`quant_method ${shownValue(method)} is not supported; ${wayOut}`], ModelError);
  }
  const faults: string[] = [];
  const read = <T>(key: string, fallback: T, isRight: (value: unknown) => boolean, rule: string): T => {
    const value = fields[key];
    if (value === undefined || isRight(value)) return (value ?? fallback) as T;
    faults.push(`${key} must be ${rule}, not ${shownValue(value)}`);
    return fallback;
  };
  const flag = (key: string): boolean => read(key, false, (value) => typeof value === "boolean", "true or false");
  const [isFourBit, isInt8] = [flag("load_in_4bit"), flag("load_in_8bit")];
  if (isFourBit === isInt8)
    faults.push(`one of load_in_4bit and load_in_8bit must be true, not ${isInt8 ? "both" : "none"}`);
  const hasFloatWeight = isInt8 && flag("llm_int8_has_fp16_weight");
  if (hasFloatWeight) {
    faults.push("llm_int8_has_fp16_weight is true, which is not supported; save the model with its weights in int8");
  }
  const fourBitType = read<FourBitType>("bnb_4bit_quant_type", "fp4", isFourBitType, '"nf4" or "fp4"');
  const announced: AnnouncedQuantization = {
    format: isFourBit ? fourBitType : "int8",
    doubleQuant: flag("bnb_4bit_use_double_quant") && isFourBit,
    computeDtype: read(
      "bnb_4bit_compute_dtype",
      "float32",
      (value) => value === null || floatDType(value) !== undefined,
      FLOAT_DTYPES.join(" or "),
    ),
    skippedModules: read("llm_int8_skip_modules", null, isNamesOrNull, "a list of names or null"),
  };
  if (faults.length > 0) throw checkpointFault(where, faults, hasFloatWeight ? ModelError : CheckpointError);
  return announced;
}

function isNamesOrNull(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.every((name) => typeof name === "string"));
}
