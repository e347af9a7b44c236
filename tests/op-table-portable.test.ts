import { describe, expect, test } from "vitest";
import { compileGraph } from "../src/compiler/compile.js";
import { PORTABLE_ENCODING, PORTABLE_PROFILE } from "../src/compiler/lower-portable.js";
import { encodeModel } from "../src/compiler/onnx-model.js";
import { interpret } from "../src/runtime/reference.js";
import { createSession } from "../src/runtime/session.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { buildCase, OP_CASES } from "./ops/cases.js";
import { expectClose } from "./ops/close.js";

/** float32 against float64 in plain loops, relative to the largest entry. */
const TOLERANCE = 1e-6;

/** What forward passes on float weights do not need, so that the profile has no operators for it. */
const ABSENT = ["addPerRow", "dequantizeFourBit", "dequantizeInt8", "matmulFourBit", "pad", "scatterAddRows"];

describe("in ONNX's own operators", () => {
  test.each(OP_CASES.filter(({ op }) => !ABSENT.includes(op)))("$op on $what", async (row) => {
    const { outputs, feeds } = buildCase(row);
    const y = outputs.y!;
    const { graph, leaves } = compileGraph({ y }, PORTABLE_PROFILE, { order: "topological" });
    const [expected] = interpret([y], { precision: "float64", feeds });
    const session = await createSession(encodeModel(graph, PORTABLE_ENCODING), { device: "cpu", threads: 1 });
    const inputs: Record<string, HostTensor> = {};
    for (const [name, { source, dtype, shape }] of leaves) {
      const data = source!.kind === "data" ? source!.array : (feeds[source!.name] as HostTensor["data"]);
      inputs[name] = { dtype, shape, data };
    }
    const results = await session.run(inputs, ["y"]);
    await session.release();
    expect(results.y!.shape).toEqual(y.shape);
    expectClose("y", results.y!.data, expected!, TOLERANCE);
    expect(graph.nodes.filter(({ domain }) => domain !== undefined)).toEqual([]);
  });

  test.each(OP_CASES.filter(({ op }) => ABSENT.includes(op)))("$op on $what is refused", (row) => {
    expect(() => compileGraph({ y: buildCase(row).outputs.y! }, PORTABLE_PROFILE)).toThrow(/no place in a model/);
  });
});
