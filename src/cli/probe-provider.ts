import process from "node:process";
import { encodeModel } from "../compiler/onnx-model.js";
import { createSession, type Device } from "../runtime/session.js";

// Run as a program of its own by `doctor`: a provider that is broken may end the process instead of throwing.

const x = { name: "x", dtype: "float32", shape: [2] } as const;
const y = { name: "y", dtype: "float32", shape: [2] } as const;
const model = encodeModel({
  nodes: [{ opType: "Add", inputs: ["x", "x"], outputs: ["y"] }],
  inputs: [x],
  outputs: [y],
  initializers: [],
});

const device = process.argv[2] as Device;
// A session that quietly runs on the CPU would say nothing about the provider; on the CPU the option itself is refused.
const session = await createSession(model, { device, threads: 1, forbidFallback: device !== "cpu" });
const feeds = { x: { dtype: "float32", shape: [2], data: Float32Array.of(1, 2) } } as const;
const { data } = (await session.run(feeds, ["y"])).y!;
await session.release();
if (data[0] !== 2 || data[1] !== 4) throw new Error(`1 + 1 and 2 + 2 gave ${data.join(" and ")}`);
