import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readModelFolder } from "../../src/formats/model-folder.js";
import { loadModel } from "../../src/loading/folder-source.js";
import { diskParameters, hostTensors, writeModel } from "../../src/loading/model-source.js";
import { describeModel } from "../../src/models/architectures.js";
import { mergeTarget } from "../../src/verbs/merge.js";
import { SMALL_CONFIGS, type SmallConfig, smallModel } from "./small-configs.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-folders-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each(Object.keys(SMALL_CONFIGS) as SmallConfig[])("a folder keeps every word of its config: %s", async (name) => {
  const config = {
    architectures: ["AnyForCausalLM"],
    ...SMALL_CONFIGS[name],
    eos_token_id: [1, 2],
    torch_dtype: "float32",
  };
  const model = smallModel(name);
  expect(model.storage).toBe(describeModel(config).storage);
  const [base, out] = [path.join(folder, name, "base"), path.join(folder, name, "merged")];
  await writeModel(base, { config, tensors: hostTensors(diskParameters(model)) });
  await mergeTarget(base, { out, base: null, dtype: null, verify: false });
  const [written, merged] = [await readModelFolder(base), await readModelFolder(out)];
  expect(merged.config).toEqual(config);
  expect(merged.tensors).toEqual(written.tensors);
  const read = diskParameters(await loadModel(out));
  for (const [parameterName, { values }] of diskParameters(model)) {
    expect(read.get(parameterName)!.values, parameterName).toEqual(values);
  }
});

test("wavelengths in older files are passed over", async () => {
  const model = smallModel("llama");
  const buffer = { dtype: "float32", shape: [2], data: Float32Array.of(1, 0.1) } as const;
  const tensors = new Map([...hostTensors(diskParameters(model))]).set(
    "model.layers.0.self_attn.rotary_emb.inv_freq",
    buffer,
  );
  const [base, out] = [path.join(folder, "older"), path.join(folder, "newer")];
  await writeModel(base, { config: SMALL_CONFIGS.llama, tensors });
  await mergeTarget(base, { out, base: null, dtype: null, verify: false });
  expect([...(await readModelFolder(base)).tensors.keys()]).toContain("model.layers.0.self_attn.rotary_emb.inv_freq");
  expect([...(await readModelFolder(out)).tensors.keys()].sort()).toEqual([...diskParameters(model).keys()].sort());
});
