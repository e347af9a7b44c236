import type { WrittenGgufType } from "./quantizing.js";

/** Types of the matrices of a GGUF file: one for all, or a mix. */
export interface GgufFileType {
  /** `general.file_type`. */
  readonly number: number;
  readonly matrices: WrittenGgufType;
  /** True for llama.cpp's mixes of medium size: 6 bits for a part of what matters most. */
  readonly isMixed?: boolean;
}

/** Types of files by their names. */
export const GGUF_FILE_TYPES = {
  f32: { number: 0, matrices: "F32" },
  f16: { number: 1, matrices: "F16" },
  bf16: { number: 32, matrices: "BF16" },
  q8_0: { number: 7, matrices: "Q8_0" },
  q6_k: { number: 18, matrices: "Q6_K" },
  q5_1: { number: 9, matrices: "Q5_1" },
  q5_0: { number: 8, matrices: "Q5_0" },
  q5_k_m: { number: 17, matrices: "Q5_K", isMixed: true },
  q4_k_m: { number: 15, matrices: "Q4_K", isMixed: true },
  q4_1: { number: 3, matrices: "Q4_1" },
  q4_0: { number: 2, matrices: "Q4_0" },
} as const satisfies Readonly<Record<string, GgufFileType>>;
