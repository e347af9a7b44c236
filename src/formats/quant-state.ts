import { isObject, kindOf, parseJson, shortened, shownValue } from "../base/json.js";
import { type FourBitType, isFourBitType } from "../ops/four-bit-codes.js";
import { NESTED_BLOCK_SIZE } from "../quant/double-quantization.js";

/** Dtypes that bitsandbytes quantizes from and dequantizes to. */
export const FLOAT_DTYPES = ["float32", "bfloat16", "float16"] as const;
export type FloatDType = (typeof FLOAT_DTYPES)[number];

/** The dtype of that name; undefined unless it is one of `FLOAT_DTYPES`. */
export function floatDType(name: unknown): FloatDType | undefined {
  return FLOAT_DTYPES.find((dtype) => dtype === name);
}

/** The JSON that bitsandbytes stores beside a 4-bit weight. */
export interface QuantState {
  readonly quantType: FourBitType;
  readonly blockSize: number;
  /** Dtype of the weight before quantization. */
  readonly dtype: FloatDType;
  readonly shape: readonly [outFeatures: number, inFeatures: number];
  /** The mean of the scales, a float32; null if they are not nested. */
  readonly nestedOffset: number | null;
}

/** Formats UTF-8 JSON like Python's `json.dumps`. */
export function formatQuantState({ quantType, blockSize, dtype, shape, nestedOffset }: QuantState): Uint8Array {
  const fields = [
    `"quant_type": "${quantType}"`,
    `"blocksize": ${blockSize}`,
    `"dtype": "${dtype}"`,
    `"shape": [${shape.join(", ")}]`,
  ];
  if (nestedOffset !== null) {
    fields.push(`"nested_blocksize": ${NESTED_BLOCK_SIZE}`, '"nested_dtype": "float32"');
    fields.push(`"nested_offset": ${pythonFloat(nestedOffset)}`);
  }
  return new TextEncoder().encode(`{${fields.join(", ")}}`);
}

/**
 * Formats a finite number like Python: the shortest digits that give it back, as in JavaScript, but always with a
 * fraction or an exponent, the latter below 1e-4 and from 1e16 on.
 */
export function pythonFloat(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa, exponentText] = value.toExponential().split("e") as [string, string];
  const exponent = Number(exponentText);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const text = String(value); // No exponent between 1e-6 and 1e21.
  return text.includes(".") ? text : `${text}.0`;
}

const KEYS = ["quant_type", "blocksize", "dtype", "shape"];
const NESTED_KEYS = ["nested_blocksize", "nested_dtype", "nested_offset"];

/** Reads the JSON. Faults are added to `faults`, and then nothing is returned. */
export function parseQuantState(bytes: Uint8Array, faults: string[]): QuantState | undefined {
  let json: unknown;
  try {
    json = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    faults.push(`quant_state is not JSON (${(error as Error).message})`);
    return undefined;
  }
  if (!isObject(json)) {
    faults.push(`quant_state must be a JSON object, not ${kindOf(json)}`);
    return undefined;
  }
  const before = faults.length;
  const isNested = NESTED_KEYS.some((key) => json[key] !== undefined);
  const keys = isNested ? [...KEYS, ...NESTED_KEYS] : KEYS;
  for (const key of Object.keys(json))
    if (!keys.includes(key)) faults.push(`quant_state has an unknown key "${shortened(key)}"`);
  const check = (key: string, isRight: (value: unknown) => boolean, rule: string): void => {
    if (isRight(json[key])) return;
    faults.push(`quant_state: ${key} must be ${rule}, not ${shownValue(json[key])}`);
  };
  check("quant_type", isFourBitType, '"nf4" or "fp4"');
  check("blocksize", isBlockSize, "a power of two from 16 to 4096");
  check("dtype", (value) => floatDType(value) !== undefined, FLOAT_DTYPES.join(" or "));
  check("shape", isMatrixShape, "two positive integers");
  if (isNested) {
    check("nested_blocksize", (value) => value === NESTED_BLOCK_SIZE, String(NESTED_BLOCK_SIZE));
    check("nested_dtype", (value) => value === "float32", '"float32"');
    check("nested_offset", isFloat32, "a number that float32 can hold");
  }
  if (faults.length > before) return undefined;
  return {
    quantType: json.quant_type as FourBitType,
    blockSize: json.blocksize as number,
    dtype: json.dtype as FloatDType,
    shape: json.shape as unknown as QuantState["shape"],
    nestedOffset: isNested ? Math.fround(json.nested_offset as number) : null,
  };
}

function isBlockSize(value: unknown): boolean {
  return Number.isInteger(value) && [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].includes(value as number);
}

/** True if the value is the shape of a non-empty matrix. */
export function isMatrixShape(value: unknown): value is readonly [number, number] {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((size) => Number.isSafeInteger(size) && size >= 1) &&
    Number.isSafeInteger(value[0] * value[1])
  );
}

function isFloat32(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(Math.fround(value));
}
