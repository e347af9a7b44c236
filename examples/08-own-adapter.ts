// An adapter class of your own, trained by the library: ReLoRA of Kronecker products on a tiny model.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  evaluateTarget,
  kaimingUniform,
  LinearAdapter,
  mul,
  Parameter,
  type Rng,
  registerAdapter,
  reshape,
  resolveSettings,
  type Tensor,
  train,
} from "highrank";

/** ΔW = A ⊗ B (KronA, Edalati et al. 2022, arXiv:2212.10650): a grid of blocks, each of them B times an entry of A. */
export class KroneckerAdapter extends LinearAdapter {
  readonly a: Parameter; // (rows of the grid, columns of the grid)
  readonly b: Parameter; // (outFeatures / rows, inFeatures / columns), starts at zero

  constructor(inFeatures: number, outFeatures: number, largestGrid: number, rng: Rng) {
    super(inFeatures, outFeatures);
    const [rows, columns] = [largestDivisor(outFeatures, largestGrid), largestDivisor(inFeatures, largestGrid)];
    this.a = new Parameter(new Float32Array(rows * columns), [rows, columns]);
    const block = [outFeatures / rows, inFeatures / columns];
    this.b = new Parameter(new Float32Array(block[0]! * block[1]!), block);
    this.reset(rng);
  }

  override reset(rng: Rng): void {
    this.a.assign(kaimingUniform(this.a.shape, rng));
    this.b.values.fill(0);
  }

  override calculateWeightUpdate(): Tensor {
    const [rows, columns] = this.a.shape as [number, number];
    const [height, width] = this.b.shape as [number, number];
    const blocks = mul(reshape(this.a, [rows, 1, columns, 1]), reshape(this.b, [1, height, 1, width]));
    return reshape(blocks, [this.outFeatures, this.inFeatures]);
  }
}

function largestDivisor(n: number, limit: number): number {
  let divisor = Math.min(n, limit);
  while (n % divisor !== 0) divisor--;
  return divisor;
}

// From here on `adapterKind: "kronecker"` is a setting like any other; the rank is the size of the grid.
registerAdapter("kronecker", {
  create: (inFeatures, outFeatures, { rank }, rng) => new KroneckerAdapter(inFeatures, outFeatures, rank, rng),
  ignores: ["alpha", "alphaPattern", "rslora", "dropout", "adapterInit", "loraPlusRatio"],
});

const folder = await mkdtemp(join(tmpdir(), "highrank-"));
const data = join(folder, "text.txt");
await writeFile(data, Array.from({ length: 300 }, (_, i) => `${i} and one is ${i + 1}.\n`).join("\n"));
const model = { model: "tiny", vocabSize: 280, sequenceLength: 32, trainModules: [] };
const steps = { maxSteps: 80, warmStartSteps: 20, reloraEvery: 20, lr: 0.01, adapterLr: 0.05 };
const settings = resolveSettings({
  flags: { ...model, ...steps, adapterKind: "kronecker", rank: 8, data, out: join(folder, "run") },
});
const { runFolder } = await train(settings, {
  onRecord(record) {
    if (record.kind === "merge") console.log(`merged after step ${record.step}`);
  },
});

// The run is like any other: it has checkpoints to resume from, a finished model, and an adapter for PEFT.
async function lossOf(target: string, adapter: boolean): Promise<number> {
  const options = { data, adapter, batchSize: 8, sequenceLength: 32, maxTokens: null } as const;
  return (await evaluateTarget(target, { ...options, base: null, device: "cpu", threads: null })).loss;
}
const [before, after, peft] = [
  await lossOf(runFolder, false),
  await lossOf(runFolder, true),
  await lossOf(join(runFolder, "adapter"), true),
];
console.log("the adapters have learned:", after < before - 0.1);
console.log("PEFT's adapter computes the same:", Math.abs(peft - after) < 1e-4);
await rm(folder, { recursive: true });
