import { afterEach, describe, expect, test } from "vitest";
import { DeviceError, DTypeError } from "../base/errors.js";
import { encodeModel, type OnnxDType, type OnnxNode } from "../compiler/onnx-model.js";
import type { HostTensor } from "../tensor/dtype.js";
import { createSession, liveSessionCount, type OrtSession } from "./session.js";

const CPU = { device: "cpu", threads: 2 } as const;
const opened: OrtSession[] = [];

/** A session on a model whose values are all [4] vectors named by `inputs` and `outputs` with their dtypes. */
async function open(
  nodes: readonly OnnxNode[],
  inputs: Record<string, OnnxDType>,
  outputs: Record<string, OnnxDType>,
): Promise<OrtSession> {
  const infos = (dtypes: Record<string, OnnxDType>) =>
    Object.entries(dtypes).map(([name, dtype]) => ({ name, dtype, shape: [4] }));
  const model = encodeModel({ nodes, inputs: infos(inputs), outputs: infos(outputs), initializers: [] });
  const session = await createSession(model, CPU);
  opened.push(session);
  return session;
}

const vector = (...values: number[]): HostTensor => ({
  dtype: "float32",
  shape: [values.length],
  data: Float32Array.from(values),
});

afterEach(async () => {
  for (const session of opened.splice(0)) await session.release();
});

describe("createSession", () => {
  test("loads ONNX Runtime on first use, not on import", async () => {
    const isLoaded = () => {
      const { sharedObjects } = process.report.getReport() as unknown as { sharedObjects: string[] };
      return sharedObjects.some((path) => path.includes("onnxruntime"));
    };
    expect(isLoaded()).toBe(false);
    await open([{ opType: "Neg", inputs: ["x"], outputs: ["y"] }], { x: "float32" }, { y: "float32" });
    expect(isLoaded()).toBe(true);
  });

  test("names the remedy when the model is not a model", async () => {
    const failure = createSession(Uint8Array.of(1, 2, 3), CPU);
    await expect(failure).rejects.toThrow(DeviceError);
    await expect(failure).rejects.toThrow(/could not create a session/);
  });

  test("counts sessions until they are released, once each", async () => {
    const before = liveSessionCount();
    const node = { opType: "Neg", inputs: ["x"], outputs: ["y"] };
    const session = await open([node], { x: "float32" }, { y: "float32" });
    expect(liveSessionCount()).toBe(before + 1);
    await session.release();
    await session.release();
    expect(liveSessionCount()).toBe(before);
    await expect(session.run({ x: vector(1, 2, 3, 4) }, ["y"])).rejects.toThrow(/released/);
  });
});

describe("run", () => {
  test("computes only the outputs asked for, under their names", async () => {
    const nodes = [
      { opType: "Neg", inputs: ["x"], outputs: ["negated"] },
      { opType: "Add", inputs: ["x", "x"], outputs: ["doubled"] },
    ];
    const session = await open(nodes, { x: "float32" }, { negated: "float32", doubled: "float32" });
    expect(session.inputNames).toEqual(["x"]);
    expect(session.outputNames).toEqual(["negated", "doubled"]);
    expect(await session.run({ x: vector(1, 2, 3, 4) }, ["doubled"])).toEqual({ doubled: vector(2, 4, 6, 8) });
  });

  test("carries bool, uint8 and int32 both ways", async () => {
    const nodes = [
      { opType: "Not", inputs: ["flags"], outputs: ["inverted"] },
      { opType: "Identity", inputs: ["bytes"], outputs: ["sameBytes"] },
      { opType: "Neg", inputs: ["counts"], outputs: ["negated"] },
    ];
    const session = await open(
      nodes,
      { flags: "bool", bytes: "uint8", counts: "int32" },
      { inverted: "bool", sameBytes: "uint8", negated: "int32" },
    );
    const feeds: Record<string, HostTensor> = {
      flags: { dtype: "bool", shape: [4], data: Uint8Array.of(1, 0, 0, 1) },
      bytes: { dtype: "uint8", shape: [4], data: Uint8Array.of(0, 127, 128, 255) },
      counts: { dtype: "int32", shape: [4], data: Int32Array.of(-1, 0, 7, 2 ** 31 - 1) },
    };
    expect(await session.run(feeds, ["inverted", "sameBytes", "negated"])).toEqual({
      inverted: { dtype: "bool", shape: [4], data: Uint8Array.of(0, 1, 1, 0) },
      sameBytes: { dtype: "uint8", shape: [4], data: Uint8Array.of(0, 127, 128, 255) },
      negated: { dtype: "int32", shape: [4], data: Int32Array.of(1, 0, -7, 1 - 2 ** 31) },
    });
  });

  test("narrows int64 outputs to int32 and refuses what does not fit", async () => {
    const nodes = [{ opType: "Cast", inputs: ["x"], outputs: ["wide"], attributes: { to: { int: 7 } } }];
    const session = await open(nodes, { x: "float32" }, { wide: "int64" });
    const { wide } = await session.run({ x: vector(-3, 0, 5, 2 ** 30) }, ["wide"]);
    expect(wide).toEqual({ dtype: "int32", shape: [4], data: Int32Array.of(-3, 0, 5, 2 ** 30) });
    await expect(session.run({ x: vector(0, 0, 0, 2 ** 40) }, ["wide"])).rejects.toThrow(DTypeError);
  });

  test("reports a missing feed as a DeviceError", async () => {
    const session = await open([{ opType: "Neg", inputs: ["x"], outputs: ["y"] }], { x: "float32" }, { y: "float32" });
    await expect(session.run({}, ["y"])).rejects.toThrow(DeviceError);
  });
});

describe("runInto", () => {
  test("writes into the arrays given, views with an offset included", async () => {
    const session = await open([{ opType: "Neg", inputs: ["x"], outputs: ["y"] }], { x: "float32" }, { y: "float32" });
    const memory = new Float32Array(8).fill(9);
    const y: HostTensor = { dtype: "float32", shape: [4], data: memory.subarray(2, 6) };
    await session.runInto({ x: vector(1, 2, 3, 4) }, { y });
    expect(memory).toEqual(Float32Array.of(9, 9, -1, -2, -3, -4, 9, 9));
  });

  test("updates a feed in place when it is also the output", async () => {
    const node = { opType: "Add", inputs: ["weight", "step"], outputs: ["updated"] };
    const session = await open([node], { weight: "float32", step: "float32" }, { updated: "float32" });
    const weight = vector(1, 2, 3, 4);
    for (let i = 0; i < 3; i++) {
      await session.runInto({ weight, step: vector(10, 20, 30, 40) }, { updated: weight });
    }
    expect(weight.data).toEqual(Float32Array.of(31, 62, 93, 124));
  });
});

test("a provider's failure names it and the way out", async () => {
  const model = encodeModel({ nodes: [], inputs: [], outputs: [], initializers: [] });
  const failure = createSession(model, { device: "no-such-device" as "cpu", threads: 1 });
  await expect(failure).rejects.toThrow(/no-such-device: .*backend not found[\s\S]*use the device cpu/);
});
