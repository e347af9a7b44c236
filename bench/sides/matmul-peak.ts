// Best GFLOP/s of one large matrix multiplication in ONNX Runtime: node matmul-peak.js [--threads 2]
import { parseArgs } from "node:util";
import { encodeModel } from "../../src/compiler/onnx-model.js";
import { createSession } from "../../src/runtime/session.js";

const ROUNDS = 12;
/** [rows, inner, columns], the shapes of a head, a square and an MLP. */
const SHAPES = [
  [1024, 512, 32100],
  [2048, 2048, 2048],
  [1024, 1376, 4096],
] as const;

async function bestGflops([rows, inner, columns]: (typeof SHAPES)[number], threads: number): Promise<number> {
  const a = { name: "a", dtype: "float32", shape: [rows, inner] } as const;
  const b = { name: "b", dtype: "float32", shape: [columns, inner] } as const;

  // Only the shape leaves the graph: handing the product back to JavaScript would cost a copy.
  const model = encodeModel({
    nodes: [
      { opType: "Gemm", inputs: ["a", "b"], outputs: ["y"], attributes: { transB: { int: 1 } } },
      { opType: "Shape", inputs: ["y"], outputs: ["shape"] },
    ],
    inputs: [a, b],
    outputs: [{ name: "shape", dtype: "int64", shape: [2] }],
    initializers: [],
  });
  const session = await createSession(model, { device: "cpu", threads });
  const feeds = {
    a: { ...a, data: new Float32Array(rows * inner).fill(0.5) },
    b: { ...b, data: new Float32Array(columns * inner).fill(0.25) },
  };
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await session.run(feeds, ["shape"]);
    best = Math.max(best, (2 * rows * inner * columns) / ((performance.now() - start) * 1e6));
  }
  await session.release();
  return best;
}

const { values } = parseArgs({ options: { threads: { type: "string", default: "2" } } });
let best = 0;
for (const shape of SHAPES) best = Math.max(best, await bestGflops(shape, Number(values.threads)));
console.log(JSON.stringify({ gflops: best }));
