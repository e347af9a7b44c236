import { FLAG, type Kinds, oneOf, requireArguments, requireEach } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { BLOCK_SIZE } from "./four-bit.js";

/** Formats of frozen weights, all from bitsandbytes. */
export const QUANTIZATION_FORMATS = ["nf4", "fp4", "int8"] as const;
export type QuantizationFormat = (typeof QUANTIZATION_FORMATS)[number];

/** Format and block size of quantized weights. */
export interface Quantizer {
  readonly format: QuantizationFormat;
  /** Elements that share a scale in nf4 and fp4: a power of two from 16 to 4096. int8 has a scale per row. */
  readonly blockSize: number;
  /**
   * True if the scales of nf4 and fp4 are quantized to 8 bits themselves (Dettmers et al. 2023, arXiv:2305.14314,
   * section 3).
   */
  readonly doubleQuant: boolean;
}

const FORMAT = { format: oneOf(QUANTIZATION_FORMATS), doubleQuant: FLAG } as const satisfies Kinds;

/** Fills in bitsandbytes' defaults. @throws ConfigError for an unknown format and what the format does not have. */
export function createQuantizer(
  format: QuantizationFormat,
  { blockSize = 64, doubleQuant = false }: Partial<Omit<Quantizer, "format">> = {},
): Quantizer {
  requireArguments("createQuantizer", FORMAT, { format, doubleQuant });
  if (format === "int8") {
    if (doubleQuant) throw new ConfigError("double quantization is for nf4 and fp4; int8 has one scale per row");
    return { format, blockSize: 0, doubleQuant };
  }
  requireEach("createQuantizer", BLOCK_SIZE, { blockSize });
  return { format, blockSize, doubleQuant };
}

/** Description such as `nf4 in blocks of 64, double quantization`. Equal quantizers have equal descriptions. */
export function describeQuantizer({ format, blockSize, doubleQuant }: Quantizer): string {
  if (format === "int8") return "int8 by row";
  return `${format} in blocks of ${blockSize}${doubleQuant ? ", double quantization" : ""}`;
}
