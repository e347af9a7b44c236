import { describe, expect, test } from "vitest";
import { PRIMITIVES } from "../src/ops/primitives.js";
import { Program } from "../src/runtime/program.js";
import { interpret } from "../src/runtime/reference.js";
import { reachable } from "../src/tensor/graph.js";
import { buildCase, OP_CASES } from "./ops/cases.js";
import { expectClose } from "./ops/close.js";
import { centralDifferences } from "./ops/differences.js";

/** All relative to the largest entry of the tensor. */
const TOLERANCE = {
  /** float32 on a device against float64 in plain loops. */
  device: 1e-6,
  /** Gradient in float64 against central differences in float64. */
  differences: 1e-9,
};

test("the table has every primitive, each case uses the op it is listed under, and none is lost", () => {
  expect([...new Set(OP_CASES.map(({ op }) => op))].sort()).toEqual(Object.keys(PRIMITIVES).sort());
  for (const row of OP_CASES) {
    const used = reachable([buildCase(row).outputs.y!]).map(({ op }) => op);
    expect(used, `${row.op}, ${row.what}`).toContain(PRIMITIVES[row.op]);
  }
  expect(OP_CASES).toHaveLength(177);
});

describe.each(Object.keys(PRIMITIVES))("%s", (op) => {
  test.each(OP_CASES.filter((row) => row.op === op))("on $what", async (row) => {
    const { outputs, loss, feeds, differentiated } = buildCase(row);
    const names = Object.keys(outputs);
    const oracle = interpret(Object.values(outputs), { precision: "float64", feeds });

    differentiated.forEach((input, k) => {
      const numeric = centralDifferences(loss!, feeds, input);
      expectClose(`gradient for ${input}`, oracle[1 + k]!, numeric, TOLERANCE.differences);
    });

    const program = await Program.compile(outputs, { device: "cpu", threads: 2 });
    const results = await program.run(feeds);
    await program.release();
    names.forEach((name, i) => {
      expect(results[name]!.dtype).toBe(outputs[name]!.dtype);
      expect(results[name]!.shape).toEqual(outputs[name]!.shape);
      expectClose(name, results[name]!.data, oracle[i]!, TOLERANCE.device);
    });
  });
});
