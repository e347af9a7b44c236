/** Number, elements and bytes of a block of each tensor type of ggml, by its name there. */
const TYPES = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q8_1: [9, 32, 40],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  Q8_K: [15, 256, 292],
  IQ2_XXS: [16, 256, 66],
  IQ2_XS: [17, 256, 74],
  IQ3_XXS: [18, 256, 98],
  IQ1_S: [19, 256, 50],
  IQ4_NL: [20, 32, 18],
  IQ3_S: [21, 256, 110],
  IQ2_S: [22, 256, 82],
  IQ4_XS: [23, 256, 136],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  IQ1_M: [29, 256, 56],
  BF16: [30, 1, 2],
  TQ1_0: [34, 256, 54],
  TQ2_0: [35, 256, 66],
  MXFP4: [39, 32, 17],
} as const satisfies Readonly<Record<string, readonly [number: number, elements: number, bytes: number]>>;

/** A tensor type of ggml by its name. */
export type GgufTypeName = keyof typeof TYPES;

/** A tensor type, which stores elements in blocks, none of which crosses the end of a row. */
export interface GgufType {
  readonly name: GgufTypeName;
  /** Its number in files. */
  readonly number: number;
  readonly blockElements: number;
  readonly blockBytes: number;
}

/** The tensor types by name. */
export const GGUF_TYPES: Readonly<Record<GgufTypeName, GgufType>> = Object.fromEntries(
  Object.entries(TYPES).map(([name, [number, blockElements, blockBytes]]) => [
    name,
    { name, number, blockElements, blockBytes },
  ]),
) as Readonly<Record<GgufTypeName, GgufType>>;

const BY_NUMBER: ReadonlyMap<number, GgufType> = new Map(Object.values(GGUF_TYPES).map((type) => [type.number, type]));

/** The tensor type with this number in files; undefined for one that is unknown. */
export function ggufTypeNumbered(number: number): GgufType | undefined {
  return BY_NUMBER.get(number);
}

/** Kinds of tokens in `tokenizer.ggml.token_type`. */
export const GGUF_TOKEN_KINDS = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Types of values of metadata, in the order of their numbers. */
export const GGUF_VALUE_TYPES = [
  ...["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array"],
  ...["uint64", "int64", "float64"],
] as readonly GgufValueType[];

/** A type of numbers in metadata. */
export type GgufNumberType = keyof typeof GGUF_NUMBER_BYTES;

/** A type of values of metadata. */
export type GgufValueType = GgufNumberType | "bool" | "string" | "array";

/** Bytes of a number. */
export const GGUF_NUMBER_BYTES = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float32: 4,
  float64: 8,
} as const;

/** A list in metadata. */
export interface GgufArray {
  readonly type: "array";
  readonly of: GgufValueType;
  readonly count: number;
  /** Undefined for a long list that was not asked for. */
  readonly items: readonly GgufItem[] | undefined;
}

/** A value in a list. Integers beyond 2^53 are bigints. */
export type GgufItem = number | bigint | boolean | string | GgufArray;

/** A value of metadata. A float32 is the shortest decimal number that it is the nearest to. */
export type GgufValue =
  | { readonly type: GgufNumberType; readonly value: number | bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | GgufArray;
