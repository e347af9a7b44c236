import path from "node:path";
import { expect, test } from "vitest";
import { withFolder } from "../../tests/run-command.js";
import { writeSmallModel } from "../../tests/small-model.js";
import { type PeftAdapter, writePeftAdapter } from "../formats/peft.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Program } from "../runtime/program.js";
import type { HostTensor } from "../tensor/dtype.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { loadTarget } from "../verbs/target.js";
import { loadModel } from "./folder-source.js";
import { diskParameters } from "./model-source.js";
import { openAdapter } from "./open-adapter.js";
import { sharedModel } from "./shared-model.js";

const QUERY = "model.layers.0.self_attn.q_proj";
const rng = new Rng(4, "shared");

function random(...shape: readonly number[]): HostTensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return { dtype: "float32", shape, data: Float32Array.from({ length: size }, () => 0.4 * rng.normal()) };
}

function adapter(modulesToSave: Readonly<Record<string, HostTensor>> = {}): PeftAdapter {
  const layers = new Map([[QUERY, { loraA: random(2, 16), loraB: random(16, 2) }]]);
  const common = { baseModel: null, dropout: 0, useRslora: false, base: null, rank: 2, alpha: 6 };
  return { ...common, targetModules: [QUERY], layers, modulesToSave: new Map(Object.entries(modulesToSave)) };
}

async function logitsOf(model: CausalLM): Promise<number[]> {
  const logits = model.logits(tensor(Int32Array.of(5, 9, 2), [1, 3]));
  const program = await Program.compile({ logits }, { device: "cpu", threads: 1 });
  const { data } = (await program.run({})).logits!;
  await program.release();
  return [...(data as Float32Array)];
}

test("each adapter computes as it does alone, and what it does not have is the base's own", () =>
  withFolder({}, async (folder) => {
    const at = (name: string): string => path.join(folder, name);
    await writeSmallModel(at("base"));
    const base = await loadModel(at("base"));
    const before = await logitsOf(base);
    const rows = diskParameters(base).get("model.embed_tokens.weight")!.shape[0]!;
    const adapters = {
      plain: adapter(),
      norm: adapter({ "model.norm.weight": random(16) }),
      table: adapter({ "model.embed_tokens.weight": random(rows, 16), "lm_head.weight": random(rows, 16) }),
      larger: adapter({ "model.embed_tokens.weight": random(rows + 4, 16), "lm_head.weight": random(rows + 4, 16) }),
    };
    const seen = [before];
    for (const [name, content] of Object.entries(adapters)) {
      await writePeftAdapter(at(name), content);
      const opened = await openAdapter(at(name), at("base"));
      const model = await sharedModel(base, opened);
      const alone = await loadTarget(at(name), { base: at("base"), adapter: true });
      const logits = await logitsOf(model);
      expect(logits).toEqual(await logitsOf(alone.model));
      seen.push(logits);
      const own = new Set(diskParameters(base).values());
      const apart = [...diskParameters(model)].filter(([, parameter]) => !own.has(parameter)).map(([key]) => key);
      expect(apart).toEqual([...content.modulesToSave.keys()]);
    }
    expect(new Set(seen.map(String)).size).toBe(5);
    expect(await logitsOf(base)).toEqual(before);
  }));
