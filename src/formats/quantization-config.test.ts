import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { ModelError } from "../base/errors.js";
import { toJsonText } from "../files/json-file.js";
import { type AnnouncedQuantization, parseQuantizationConfig, quantizationConfig } from "./quantization-config.js";

const golden = JSON.parse(await readFile("tests/golden/quantization-config.json", "utf8"));
const cases: AnnouncedQuantization[] = [
  { format: "nf4", doubleQuant: true, computeDtype: "bfloat16", skippedModules: null },
  { format: "fp4", doubleQuant: false, computeDtype: "float16", skippedModules: ["lm_head", "mlp"] },
  { format: "int8", doubleQuant: false, computeDtype: "float32", skippedModules: null },
];

test.each(cases)("$format is announced as by transformers, down to the point in 6.0, and read back", (announced) => {
  const config = { quantization_config: quantizationConfig(announced) };
  // transformers refuses a threshold of 6, which is not a float in Python.
  expect(toJsonText(config, "config.json")).toBe(golden[announced.format]);
  expect(parseQuantizationConfig(JSON.parse(golden[announced.format]))).toEqual(announced);
});

const parse = (fields: unknown) => parseQuantizationConfig({ quantization_config: fields });

test("a model that is not quantized has none, and missing keys have the defaults of transformers", () => {
  expect(parseQuantizationConfig({})).toBeNull();
  expect(parse(null)).toBeNull();
  const defaults = { doubleQuant: false, computeDtype: "float32", skippedModules: null };
  expect(parse({ load_in_4bit: true })).toEqual({ format: "fp4", ...defaults });
  expect(parse({ quant_method: "bitsandbytes", load_in_8bit: true, unknown: 1 })).toEqual({
    format: "int8",
    ...defaults,
  });
});

test.each(["gptq", "awq", "fp8", 3])("quant_method %j is refused by name", (method) => {
  expect(() => parse({ quant_method: method, bits: 4 })).toThrow(ModelError);
  expect(() => parse({ quant_method: method, bits: 4 })).toThrow(
    `config.json: quantization_config: quant_method ${JSON.stringify(method)} is not supported`,
  );
});

test("all faults are reported at once", () => {
  expect(() => parse([])).toThrow("quantization_config: must be an object, not an array");
  expect(() => parse({})).toThrow("one of load_in_4bit and load_in_8bit must be true, not none");
  expect(() => parse({ load_in_4bit: true, load_in_8bit: true })).toThrow("must be true, not both");
  const floatWeight = () => parse({ load_in_8bit: true, llm_int8_has_fp16_weight: true });
  expect(floatWeight).toThrow("llm_int8_has_fp16_weight is true");
  expect(floatWeight).toThrow(ModelError);
  const wrong = {
    load_in_4bit: true,
    load_in_8bit: 0,
    bnb_4bit_quant_type: "af4",
    bnb_4bit_use_double_quant: "yes",
    bnb_4bit_compute_dtype: "float8",
    llm_int8_skip_modules: "lm_head",
  };
  expect(() => parse(wrong)).toThrow(
    [
      "5 faults",
      "load_in_8bit must be true or false, not 0",
      'bnb_4bit_quant_type must be "nf4" or "fp4", not "af4"',
      'bnb_4bit_use_double_quant must be true or false, not "yes"',
      'bnb_4bit_compute_dtype must be float32 or bfloat16 or float16, not "float8"',
      "llm_int8_skip_modules must be a list of names or null",
    ].join("\n  - "),
  );
});
