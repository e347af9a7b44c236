import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SMALL_CONFIGS, smallModel } from "../../tests/architectures/small-configs.js";
import type { TensorToWrite } from "../files/lazy-tensor.js";
import { readModelFolder, writeModelFolder } from "../formats/model-folder.js";
import { toStorage } from "../formats/model-tensors.js";
import type { CausalLM } from "../models/causal-lm.js";
import { mergeTarget } from "../verbs/merge.js";
import { folderSource, loadModel } from "./folder-source.js";
import { diskParameters, hostTensors, tiedNames } from "./model-source.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-names-"));
});
afterAll(() => rm(root, { recursive: true }));

const KINDS = {
  llama: { small: "llama", prefix: "model.", head: "lm_head.weight" },
  gpt2: { small: "gpt2, with learned positions and a tied head", prefix: "transformer.", head: "lm_head.weight" },
  gpt_neox: { small: "gpt_neox, of whose heads half turn", prefix: "gpt_neox.", head: "embed_out.weight" },
  gemma3_text: {
    small: "gemma3_text, with sliding windows and two kinds of positions",
    prefix: "model.",
    head: "lm_head.weight",
  },
} as const;

/** Writes a small tied model; its tensors are changed as files name them. */
async function write(
  name: string,
  kind: keyof typeof KINDS,
  change: (tensors: Map<string, TensorToWrite>) => Map<string, TensorToWrite>,
  { shardBytes, tied = true }: { shardBytes?: number; tied?: boolean } = {},
): Promise<{ folder: string; model: CausalLM }> {
  const folder = path.join(root, `${kind} ${name}`);
  const tie = { tie_word_embeddings: tied };
  const model = smallModel(KINDS[kind].small, tie);
  const tensors = change(toStorage(hostTensors(diskParameters(model)), model.storage));
  const config = { ...SMALL_CONFIGS[KINDS[kind].small], ...tie };
  await writeModelFolder(folder, { config, tensors, ...(shardBytes !== undefined && { shardBytes }) });
  return { folder, model };
}

const renamed = (tensors: Map<string, TensorToWrite>, name: (stored: string) => string): Map<string, TensorToWrite> =>
  new Map([...tensors].map(([stored, tensor]) => [name(stored), tensor]));

function headOf(model: CausalLM, factor: number): TensorToWrite {
  const { shape, values } = model.embedTokens.weight;
  return { dtype: "float32", shape, data: values.map((value) => factor * value) };
}

describe.each(Object.keys(KINDS) as (keyof typeof KINDS)[])("%s", (kind) => {
  const { prefix, head } = KINDS[kind];

  test.each([
    ["without prefix", (name: string) => name.replace(prefix, "")],
    ["with two prefixes", (name: string) => `${prefix}${name}`],
  ])("names %s are read", async (what, rename) => {
    const { folder, model } = await write(what, kind, (tensors) => renamed(tensors, rename));
    const read = diskParameters(await loadModel(folder));
    for (const [name, { values }] of diskParameters(model)) expect(read.get(name)!.values, name).toEqual(values);
  });

  test.each([undefined, 4000])(
    "a head of its own is kept, and so are both when written (shardBytes %s)",
    async (shardBytes) => {
      const { folder, model } = await write(
        `own head ${shardBytes}`,
        kind,
        (tensors) => tensors.set(head, headOf(model0(kind), 2)),
        shardBytes === undefined ? {} : { shardBytes },
      );
      const read = await loadModel(folder);
      expect(read.config.tieWordEmbeddings).toBe(false);
      expect(read.headWeight.values).toEqual(model.embedTokens.weight.values.map((value) => 2 * value));
      expect(read.embedTokens.weight.values).toEqual(model.embedTokens.weight.values);
      const out = `${folder} merged`;
      await mergeTarget(folder, { out, base: null, dtype: null, verify: true });
      const merged = await readModelFolder(out);
      expect(merged.config.tie_word_embeddings).toBe(false);
      expect(merged.tensors.has(head)).toBe(true);
    },
  );

  test("the table once more is the tied head", async () => {
    const { folder } = await write("twice", kind, (tensors) => tensors.set(head, headOf(model0(kind), 1)));
    const source = await folderSource(folder);
    expect(source.config.tie_word_embeddings).toBe(true);
    expect(tiedNames(source.build()).head).toBe(head);
  });

  test("a tied head alone is the table", async () => {
    const table = tiedNames(model0(kind)).embeddings;
    const { folder, model } = await write("head alone", kind, (tensors) =>
      renamed(tensors, (name) => (name === table ? head : name)),
    );
    const read = await loadModel(folder);
    expect(read.embedTokens.weight.values).toEqual(model.embedTokens.weight.values);
    expect(read.headWeight).toBe(read.embedTokens.weight);
  });

  test("an untied model without a head is refused, with the way out", async () => {
    const { folder } = await write(
      "headless",
      kind,
      (tensors) => {
        tensors.delete(head);
        return tensors;
      },
      { tied: false },
    );
    await expect(loadModel(folder)).rejects.toThrow(
      `"${head}" is missing; if the embedding table is the head, set tie_word_embeddings to true in config.json`,
    );
  });

  test.each(["_orig_mod.", "module."])(
    "names that all begin with %s are refused by that beginning",
    async (wrapper) => {
      const { folder } = await write(wrapper, kind, (tensors) => renamed(tensors, (name) => `${wrapper}${name}`));
      await expect(loadModel(folder)).rejects.toThrow(`names of weights begin with "${wrapper}"`);
    },
  );
});

function model0(kind: keyof typeof KINDS): CausalLM {
  return smallModel(KINDS[kind].small, { tie_word_embeddings: true });
}

test("a weight of a layer that the config has no place for is refused; others are named and passed over", async () => {
  const extra: TensorToWrite = { dtype: "float32", shape: [1], data: Float32Array.of(1) };
  const others = ["v_head.summary.weight", "model.layers.7.mlp.up_proj.weight", "model.x.weight", "model.y.weight"];
  const noticesOf = async (name: string, added: readonly string[]): Promise<readonly string[]> => {
    const { folder } = await write(name, "llama", (tensors) => {
      for (const each of added) tensors.set(each, extra);
      return tensors.set(KINDS.llama.head, headOf(model0("llama"), 1));
    });
    const notices: string[] = [];
    await folderSource(folder, { onNotice: (text) => notices.push(text.replace(folder, "FOLDER")) });
    return notices;
  };
  expect(await noticesOf("none beside", ["model.layers.0.self_attn.rotary_emb.inv_freq"])).toEqual([]);
  const not = "FOLDER: weights that the model of config.json has no place for are not used:";
  expect(await noticesOf("one beside", others.slice(0, 1))).toEqual([`${not} "v_head.summary.weight"`]);
  expect(await noticesOf("four beside", others)).toEqual([
    `${not} "model.layers.7.mlp.up_proj.weight", "model.x.weight", "model.y.weight", and 1 more`,
  ]);
  const name = "model.layers.1.self_attn.q_proj.bias";
  const within = await write("within", "llama", (tensors) => tensors.set(name, extra));
  await expect(loadModel(within.folder)).rejects.toThrow(`"${name}" has no place in the model`);
});
