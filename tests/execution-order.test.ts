import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { encodeModel, type OnnxNode } from "../src/compiler/onnx-model.js";
import { executionOrder, orderForExecution } from "../src/compiler/order.js";
import { Rng } from "../src/tensor/random.js";

/** The names of the nodes in the order in which ONNX Runtime's profiler saw their kernels start. */
async function profiledOrder(nodes: readonly OnnxNode[]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "profile-"));
  try {
    const isRead = new Set(nodes.flatMap((node) => node.inputs));
    const ends = nodes.flatMap((node) => node.outputs).filter((name) => !isRead.has(name));
    const info = (name: string) => ({ name, dtype: "float32", shape: [2] }) as const;
    const model = encodeModel({ nodes, inputs: [info("x")], outputs: ends.map(info), initializers: [] });
    const session = await InferenceSession.create(model, {
      graphOptimizationLevel: "disabled",
      enableProfiling: true,
      profileFilePrefix: join(folder, "run"),
      logSeverityLevel: 3,
    });
    await session.run({ x: new Tensor("float32", new Float32Array(2), [2]) });
    session.endProfiling();
    await session.release();
    const [file = ""] = readdirSync(folder);
    const events: { cat: string; name: string; ts: number }[] = JSON.parse(readFileSync(join(folder, file), "utf8"));
    return events
      .filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"))
      .sort((a, b) => a.ts - b.ts)
      .map(({ name }) => name.slice(0, -"_kernel_time".length));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Sums of one to three earlier values each, named n0, n1, … in a topological order. */
function randomNodes(rng: Rng): OnnxNode[] {
  return Array.from({ length: 5 + rng.below(30) }, (_, i) => {
    const inputs = Array.from({ length: 1 + rng.below(3) }, () => (rng.below(i + 1) ? `v${rng.below(i)}` : "x"));
    return { opType: "Sum", name: `n${i}`, inputs, outputs: [`v${i}`] };
  });
}

function shuffle<T>(rng: Rng, items: readonly T[]): T[] {
  const left = [...items];
  return items.map(() => left.splice(rng.below(left.length), 1)[0]!);
}

const namesIn = (nodes: readonly OnnxNode[], order: readonly number[]) => order.map((index) => nodes[index]!.name);

describe("ONNX Runtime", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])("runs the nodes of random graph %i in the predicted order", async (seed) => {
    const nodes = randomNodes(new Rng(seed));
    expect(await profiledOrder(nodes)).toEqual(namesIn(nodes, executionOrder(nodes)));
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "runs random graph %i as predicted from a file in no order at all",
    async (seed) => {
      const rng = new Rng(seed, "file");
      const nodes = shuffle(rng, randomNodes(rng));
      expect(await profiledOrder(nodes)).toEqual(namesIn(nodes, executionOrder(nodes)));
    },
  );

  test("recomputes an activation just before its use when the file is ordered for that", async () => {
    const node = (name: string, ...inputs: string[]) => ({ opType: "Sum", name, inputs, outputs: [name] });
    const nodes = [
      ...[node("f0", "x"), node("f1", "f0"), node("f2", "f1"), node("b3", "f2")],
      ...[node("r2", "f1"), node("w2", "b3", "r2"), node("b2", "b3", "r2")],
      ...[node("r1", "f0"), node("w1", "b2", "r1"), node("b1", "b2", "r1"), node("w0", "b1", "x")],
    ];
    const file = orderForExecution(nodes).map((index) => nodes[index]!);
    expect(await profiledOrder(file)).toEqual(nodes.map(({ name }) => name));
    // As written the weight gradients come last and all recomputation before them.
    expect(await profiledOrder(nodes)).not.toEqual(nodes.map(({ name }) => name));
  });
});
