import path from "node:path";
import { inspectPath } from "../../../src/cli/inspect-files.js";
import { parseQuantizationConfig } from "../../../src/formats/quantization-config.js";
import { folderSource } from "../../../src/loading/folder-source.js";
import { quantizeModel } from "../../../src/verbs/quantize.js";
import { writeSmallModel } from "../../small-model.js";
import type { FuzzTarget } from "../target.js";

export const bitsandbytes: FuzzTarget = {
  name: "bitsandbytes",
  sources: ["formats/bitsandbytes", "formats/quant-state", "formats/quantization-config"],
  writeSamples: async (folder) => {
    const float = path.join(folder, "..", "float");
    await writeSmallModel(float, { numLayers: 1 });
    const formats = { nf4: false, fp4: true, int8: false } as const;
    for (const [format, doubleQuant] of Object.entries(formats) as [keyof typeof formats, boolean][]) {
      await quantizeModel(float, { out: path.join(folder, format), quantizer: { format, blockSize: 64, doubleQuant } });
    }
  },
  run: async (folder) => {
    const { config, build, readWeight } = await folderSource(folder);
    parseQuantizationConfig(config);
    build();
    await readWeight("model.layers.0.mlp.up_proj.weight");
    await inspectPath(folder);
  },
};
