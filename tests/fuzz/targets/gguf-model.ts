import { mkdir } from "node:fs/promises";
import path from "node:path";
import { readEndIds } from "../../../src/formats/generation-config.js";
import { companionFiles, readTokenizer } from "../../../src/loading/companions.js";
import { loadModel } from "../../../src/loading/folder-source.js";
import { exportTarget } from "../../../src/verbs/export.js";
import { writeSmallModel } from "../../small-model.js";
import { expectThat, type FuzzTarget } from "../target.js";

/** A whole model in a GGUF file: its config, the order of its rows, its tokenizer. */
export const ggufModel: FuzzTarget = {
  name: "gguf model",
  sources: [
    ...["gguf/architectures", "gguf/gguf-model", "gguf/gguf-tokenizer"],
    ...["gguf/metadata", "gguf/pre-tokenizers"],
  ],
  writeSamples: async (folder) => {
    const plain = path.join(folder, "..", "gguf-model-source");
    await writeSmallModel(plain, { numLayers: 1 });
    for (const type of ["f32", "f16"] as const) {
      await mkdir(path.join(folder, type), { recursive: true });
      const out = path.join(folder, type, "model.gguf");
      await exportTarget(plain, { base: null, to: "gguf", dtype: null, type, out });
    }
  },
  run: async (folder) => {
    const file = path.join(folder, "model.gguf");
    const model = await loadModel(file);
    expectThat(model.config.numLayers > 0, "there are no layers");
    const tokenizer = await readTokenizer(file);
    expectThat(tokenizer.encode("The 3rd cat").every(Number.isSafeInteger), "an id is none");
    expectThat((await readEndIds(file)).every(Number.isSafeInteger), "an id is none");
    expectThat((await companionFiles(file)).has("tokenizer.json"), "there is no tokenizer");
  },
};
