import { type AbstractMatrix, Matrix, SVD } from "ml-matrix";
import { expect, test } from "vitest";
import type { CoreAdapter } from "../adapters/core-adapter.js";
import { adaptersOf } from "../adapters/inject.js";
import type { Batch } from "../data/packing.js";
import { diskParameters } from "../loading/model-source.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { readGradient } from "../optim/gradient.js";
import { TrainingStep } from "../programs/training-step.js";
import { Rng } from "../tensor/random.js";
import { startInGradient } from "./core-bases.js";
import { addAdapters } from "./settings-adapters.js";

const [RANK, SCALING, VOCABULARY] = [6, 0.5, 23];
const SHAPE = {
  batchSize: 2,
  sequenceLength: 12,
  lossChunk: 50,
  device: "cpu",
  threads: 1,
  checkpointing: false,
} as const;

function tinyModel(): LlamaForCausalLM {
  const sizes = { vocabSize: VOCABULARY, hiddenSize: 16, intermediateSize: 20, numLayers: 2, numHeads: 2 };
  return new LlamaForCausalLM(llamaConfig({ ...sizes, initializerRange: 0.3 }), new Rng(4));
}

const rng = new Rng(5, "batches");
const draw = () => Int32Array.from({ length: SHAPE.batchSize * SHAPE.sequenceLength }, () => rng.below(VOCABULARY));
const updates = Array.from({ length: 3 }, (): Batch[] => [
  { inputIds: draw(), labels: draw() },
  { inputIds: draw(), labels: draw() },
]);

/** The gradients of all weights without adapters, as mean over the updates, and their norms. */
async function fullGradients(): Promise<{ mean: Map<string, AbstractMatrix>; each: Map<string, Matrix>[] }> {
  const parameters = diskParameters(tinyModel());
  const model = tinyModel();
  const step = await TrainingStep.compile(model, diskParameters(model), SHAPE);
  const each: Map<string, Matrix>[] = [];
  for (const batches of updates) {
    const { gradients } = await step.runAll(batches);
    each.push(
      new Map(
        [...gradients].map(([name, gradient]) => {
          const [rows, columns = 1] = parameters.get(name)!.shape as [number, number?];
          return [name, Matrix.from1DArray(rows, columns, readGradient(gradient))] as const;
        }),
      ),
    );
  }
  await step.release();
  const mean = new Map(
    [...each[0]!.keys()].map((name) => {
      const sum = each.reduce(
        (total, of) => total.add(of.get(name)!),
        Matrix.zeros(each[0]!.get(name)!.rows, each[0]!.get(name)!.columns),
      );
      return [name, sum.div(updates.length)] as const;
    }),
  );
  return { mean, each };
}

test("cores start between the leading singular directions of the gradient of their weights", async () => {
  const model = tinyModel();
  const settings = {
    ...({ rank: RANK, alpha: SCALING * RANK, rslora: false, dropout: 0, adapterInit: "xavier" } as const),
    ...({ rankPattern: [], alphaPattern: [], adapterKind: "core", bias: "none", trainModules: ["norms"] } as const),
    ...({ targetModules: ["all-linear"], excludeModules: [], layersToTransform: [] } as const),
  };
  addAdapters(model, settings, new Rng(1));
  const seen = await startInGradient(model, updates, new Rng(2), SHAPE, () => {});
  const { mean, each } = await fullGradients();
  expect(seen).toHaveLength(updates.length);
  for (const [name, adapter] of adaptersOf(model)) {
    const { loraA, loraB, core, inFeatures, outFeatures } = adapter as CoreAdapter;
    expect(core.values.every((value) => value === 0)).toBe(true);
    const a = Matrix.from1DArray(RANK, inFeatures, loraA.values);
    const b = Matrix.from1DArray(outFeatures, RANK, loraB.values);
    const gradient = mean.get(`${name}.weight`)!;
    const { diagonal } = new SVD(gradient, { autoTranspose: true });
    const squares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value ** 2, 0);
    const inside = b.transpose().mmul(gradient).mmul(a.transpose());
    // No bases of this rank could hold more of it. A sketch of no more columns holds less, where singular values fall
    // as slowly as here; random bases hold a tenth.
    const best = squares(diagonal.slice(0, RANK));
    expect(inside.norm() ** 2 / best, name).toBeGreaterThan(0.5);
    expect(inside.norm() ** 2 / best, name).toBeLessThan(1 + 1e-5);
    // Diagonal, the largest first.
    const entries = inside.diagonal().map(Math.abs);
    expect(squares(entries) / inside.norm() ** 2, name).toBeGreaterThan(1 - 1e-6);
    expect(entries, name).toEqual([...entries].sort((x, y) => y - x));
    // What was seen of each update is its gradient between these bases.
    for (const [i, { gradients }] of seen.entries()) {
      const wanted = b
        .transpose()
        .mmul(each[i]!.get(`${name}.weight`)!)
        .mmul(a.transpose())
        .mul(SCALING);
      const found = Matrix.from1DArray(RANK, RANK, gradients.get(`${name}.adapter.core`)!);
      expect(found.sub(wanted).norm() / wanted.norm(), name).toBeLessThan(1e-4);
    }
  }
  for (const [i, { norm, gradients }] of seen.entries()) {
    const norms = [...each[i]!].flatMap(([name, gradient]) => (name.includes("norm") ? [gradient.norm() ** 2] : []));
    const cores = [...gradients.values()].map((values) => Matrix.rowVector([...values]).norm() ** 2);
    expect(norm ** 2 / [...norms, ...cores].reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 4);
  }
});
