import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { compileGraph, PROFILES } from "../../src/compiler/compile.js";
import { encodeModel } from "../../src/compiler/onnx-model.js";
import type { Feeds } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const MATMULS = new Set(["Gemm", "MatMul", "FusedMatMul"]);

/** Share of the time of one run of a graph in the kernels of matrix multiplications, by ONNX Runtime's profiler. */
export async function matmulShare(
  outputs: Readonly<Record<string, Tensor>>,
  values: Feeds,
  threads: number,
): Promise<number> {
  const { graph, leaves } = compileGraph(outputs, PROFILES.cpu);
  const folder = mkdtempSync(join(tmpdir(), "highrank-profile-"));
  const session = await ort.InferenceSession.create(encodeModel(graph), {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    graphOptimizationLevel: "disabled",
    enableMemPattern: false,
    enableProfiling: true,
    profileFilePrefix: join(folder, "run"),
    extra: { session: { force_spinning_stop: "1" } },
  });
  const feeds: Record<string, ort.Tensor> = {};
  for (const [input, { dtype, shape, source }] of leaves) {
    feeds[input] = new ort.Tensor(dtype, source!.kind === "data" ? source!.array : values[source!.name]!, shape);
  }
  const runs = 3;
  for (let run = 0; run < runs; run++) await session.run(feeds);
  session.endProfiling();
  const [file] = readdirSync(folder);
  const events = JSON.parse(readFileSync(join(folder, file!), "utf8")) as {
    name: string;
    dur: number;
    args?: { op_name?: string };
  }[];
  rmSync(folder, { recursive: true });
  const kernels = events.filter(({ name, args }) => name.endsWith("_kernel_time") && MATMULS.has(args?.op_name ?? ""));
  // The last run, with the memory of those before at hand.
  const last = kernels.slice((kernels.length * (runs - 1)) / runs);
  const whole = events.filter(({ name }) => name === "model_run").at(-1)!;
  return last.reduce((sum, { dur }) => sum + dur, 0) / whole.dur;
}
