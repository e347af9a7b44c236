import { describe, expect, test } from "vitest";
import { DeviceError } from "../../src/base/errors.js";
import { encodeModel, type OnnxNode } from "../../src/compiler/onnx-model.js";
import { createSession, type OrtSession } from "../../src/runtime/session.js";
import type { HostTensor } from "../../src/tensor/dtype.js";

const float32 = (shape: readonly number[], ...values: number[]): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});
const a = float32([2, 2], 1, 2, 3, 4);
const b = float32([2, 2], 5, 6, 7, 8);

/** y from a and b, both [2, 2], with nothing left to the CPU. */
function open(node: Omit<OnnxNode, "inputs" | "outputs">): Promise<OrtSession> {
  const info = (name: string) => ({ name, dtype: "float32", shape: [2, 2] }) as const;
  const nodes = [{ ...node, inputs: ["a", "b"], outputs: ["y"] }];
  const model = encodeModel({ nodes, inputs: [info("a"), info("b")], outputs: [info("y")], initializers: [] });
  return createSession(model, { device: "webgpu", threads: 1, forbidFallback: true });
}

describe("a webgpu session", () => {
  test("multiplies matrices", async () => {
    const session = await open({ opType: "MatMul" });
    expect(await session.run({ a, b }, ["y"])).toEqual({ y: float32([2, 2], 19, 22, 43, 50) });
    await session.release();
  });

  test("writes into the arrays given, also over a feed", async () => {
    const session = await open({ opType: "Add" });
    const weight = float32([2, 2], 1, 2, 3, 4);
    for (let i = 0; i < 2; i++) await session.runInto({ a: weight, b }, { y: weight });
    expect(weight).toEqual(float32([2, 2], 11, 14, 17, 20));
    await session.release();
  });

  test("refuses a node that WebGPU has no kernel for, and says so", async () => {
    const failure = open({ opType: "FusedMatMul", domain: "com.microsoft" });
    await expect(failure).rejects.toThrow(DeviceError);
    await expect(failure).rejects.toThrow(/operators that WebGPU has/);
  });
});
