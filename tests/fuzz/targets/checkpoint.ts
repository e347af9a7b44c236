import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { listCheckpoints, markBest, readCheckpoint, writeCheckpoint } from "../../../src/runs/checkpoint.js";
import type { Rng } from "../../../src/tensor/random.js";
import { chance } from "../choice.js";
import { expectThat, type FuzzTarget } from "../target.js";
import type { Tree } from "../tree.js";

export const checkpoint: FuzzTarget = {
  name: "checkpoint",
  sources: ["runs/checkpoint"],
  writeSamples: async (folder) => {
    const run = path.join(folder, "run");
    await mkdir(run, { recursive: true });
    const vector = (...values: number[]) =>
      ({ dtype: "float32", shape: [values.length], data: new Float32Array(values) }) as const;
    for (const step of [5, 10]) {
      await writeCheckpoint(run, step, {
        state: { cycle: 1, loss: 0.5, phase: "adapter", dataPosition: { epoch: 0, row: step }, mergedCycles: 1 },
        tensorFiles: {
          trainable: new Map([["a", vector(step)]]),
          optimizer: new Map([["a.exp_avg", vector(step, 1)]]),
        },
        folders: {
          adapter: async (inner) => {
            await mkdir(inner);
            await writeFile(path.join(inner, "adapter_config.json"), "{}");
          },
        },
      });
    }
    await markBest(run, 5);
  },
  run: async (folder) => {
    await listCheckpoints(folder);
    for (const which of ["last", "best", 5] as const) {
      const { step, state, tensorFiles } = await readCheckpoint(folder, which);
      expectThat(Number.isSafeInteger(step) && state.step === step, "the step is another");
      JSON.stringify(state);
      for (const tensors of Object.values(tensorFiles))
        expectThat(tensors instanceof Map, "a file is no map of tensors");
    }
  },
  forge,
};

/** Gives each file its checksum, as one would who wants the change to go unnoticed. */
function forge(rng: Rng, tree: Tree): void {
  for (const folder of ["checkpoint-000005", "checkpoint-000010"]) {
    if (chance(rng, 0.25)) continue;
    const checksums: Record<string, string> = {};
    for (const [name, entry] of tree) {
      const file = name.slice(folder.length + 1);
      if (!name.startsWith(`${folder}/`) || entry.kind !== "file" || file === "checksums.json") continue;
      checksums[file] = createHash("sha256").update(entry.bytes).digest("hex");
    }
    const name = `${folder}/checksums.json`;
    if (tree.has(name)) tree.set(name, { kind: "file", bytes: new TextEncoder().encode(JSON.stringify(checksums)) });
  }
}
