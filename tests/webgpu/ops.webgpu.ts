import { describe, expect, test } from "vitest";
import { PRIMITIVES } from "../../src/ops/primitives.js";
import { Program } from "../../src/runtime/program.js";
import { interpret } from "../../src/runtime/reference.js";
import { buildCase, OP_CASES } from "../ops/cases.js";
import { expectClose } from "../ops/close.js";

/** float32 on the device against float64 in plain loops, relative to the largest entry of the tensor. */
const TOLERANCE = 2e-6;

describe.each(Object.keys(PRIMITIVES))("%s and its gradient on webgpu alone", (op) => {
  test.each(OP_CASES.filter((row) => row.op === op))("on $what", async (row) => {
    const { outputs, feeds } = buildCase(row);
    const oracle = interpret(Object.values(outputs), { precision: "float64", feeds });
    const program = await Program.compile(outputs, { device: "webgpu", threads: 1, forbidFallback: true });
    try {
      const results = await program.run(feeds);
      Object.keys(outputs).forEach((name, i) => {
        expect(results[name]!.shape).toEqual(outputs[name]!.shape);
        expectClose(name, results[name]!.data, oracle[i]!, TOLERANCE);
      });
    } finally {
      await program.release();
    }
  });
});
