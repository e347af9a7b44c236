import path from "node:path";
import { appendDelta, readDeltas } from "../../../src/relora/delta-log.js";
import { termsOf } from "../../../src/relora/delta-terms.js";
import type { HostTensor } from "../../../src/tensor/dtype.js";
import { expectThat, type FuzzTarget } from "../target.js";

export const deltaLog: FuzzTarget = {
  name: "delta log",
  sources: ["relora/delta-log"],
  writeSamples: async (folder) => {
    const matrix = (...shape: [number, number]): HostTensor => ({
      dtype: "float32",
      shape,
      data: new Float32Array(shape[0] * shape[1]).fill(0.5),
    });
    const layers = new Map([["model.layers.0.mlp.up_proj", { loraA: matrix(2, 3), loraB: matrix(4, 2) }]]);
    for (const cycle of [1, 2])
      await appendDelta(path.join(folder, "run"), { cycle, step: 10 * cycle, scaling: 0.5, layers });
  },
  run: async (folder) => {
    for await (const delta of readDeltas(folder)) {
      expectThat(
        [delta.cycle, delta.step].every((count) => Number.isSafeInteger(count) && count >= 0),
        "a count is none",
      );
      expectThat(Number.isFinite(delta.scaling), "the scaling is not finite");
      for (const { loraA, loraB } of delta.layers.values()) {
        expectThat(
          [loraA, loraB].every(({ data }) => data instanceof Float32Array),
          "a factor is not float32",
        );
      }
      termsOf(delta);
    }
  },
};
