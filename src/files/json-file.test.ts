import { expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { toJsonText } from "./json-file.js";

test("whole numbers that transformers takes only as floats are written as such, and no others", () => {
  const config = {
    final_logit_softcapping: 30,
    text_config: { attn_logit_softcapping: 50, rms_norm_eps: 1e-6, initializer_range: 1 },
    hidden_size: 64,
    rope_parameters: { factor: 4 },
  };
  expect(toJsonText(config, "config.json").split("\n")).toEqual([
    ...["{", '  "final_logit_softcapping": 30.0,', '  "text_config": {', '    "attn_logit_softcapping": 50.0,'],
    ...['    "rms_norm_eps": 0.000001,', '    "initializer_range": 1.0', "  },", '  "hidden_size": 64,'],
    ...['  "rope_parameters": {', '    "factor": 4', "  }", "}", ""],
  ]);
});

test("numbers that JSON cannot hold are refused by their key", () => {
  expect(() => toJsonText({ loss: Number.NaN }, "state.json")).toThrow(CheckpointError);
  expect(() => toJsonText({ loss: Number.NaN }, "state.json")).toThrow('state.json: "loss" is NaN');
});
