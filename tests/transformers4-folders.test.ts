import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { ChatTemplate } from "../src/chats/chat-template.js";
import { writeSafetensors } from "../src/files/safetensors.js";
import { sizeOf } from "../src/tensor/shape.js";
import { modelTokenizer } from "../src/tokenizers/model-tokenizer.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";
import { computeFolder } from "./peers/folders.js";
import { withFolder } from "./run-command.js";

type Files = Readonly<Record<string, string>>;

// Made by tests/peers/python/transformers4_golden.py.
const golden = JSON.parse(readFileSync(new URL("./golden/transformers4.json", import.meta.url), "utf8")) as {
  transformers: string;
  rows: number[][];
  models: Record<string, { files: Files; shapes: Record<string, number[]>; loss: number }>;
  tokenizers: Record<
    string,
    { files: Files; texts: string[]; ids: number[][]; messages: { role: string; content: string }[]; chat: string }
  >;
};
test("the folders are those of version 4, with its names of keys", () => {
  expect(golden.transformers).toMatch(/^4\./);
  const keys = Object.values(golden.models).flatMap(({ files }) => Object.keys(JSON.parse(files["config.json"]!)));
  expect(keys).toEqual(expect.arrayContaining(["rope_theta", "rope_scaling", "rope_local_base_freq", "rotary_pct"]));
  expect(keys).not.toContain("rope_parameters");
});

/** Weights as the script fills them. Some checkpoints of old hold the buffers of a model as well. */
async function computeCase(
  name: string,
  change: (name: string) => string,
  buffers: Readonly<Record<string, readonly number[]>>,
) {
  const { files, shapes } = golden.models[name]!;
  const { dtype: type, torch_dtype = type, ...config } = JSON.parse(files["config.json"]!);
  const content = { ...files, "config.json": JSON.stringify({ ...config, torch_dtype }) };
  return withFolder(content, async (folder) => {
    const tensors = Object.entries(shapes).map(([tensor, shape], number) => {
      const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => (((37 * i + 11 * number) % 101) - 50) / 125);
      return [change(tensor), { dtype: "float32", shape, data }] as const;
    });
    const more = Object.entries(buffers).map(
      ([buffer, shape]) => [buffer, { dtype: "float32", shape, data: new Float32Array(sizeOf(shape)) }] as const,
    );
    await writeSafetensors(path.join(folder, "model.safetensors"), new Map([...tensors, ...more]));
    return computeFolder(folder, golden.rows);
  });
}

const same = (name: string): string => name;
test.each([
  ...Object.keys(golden.models).map((name) => [name, "as it is", same, {}] as const),
  ["llama", "buffers of positions", same, { "model.layers.0.self_attn.rotary_emb.inv_freq": [4] }] as const,
  [
    "gpt2",
    "names without prefix, masks as buffers",
    (name: string) => name.replace(/^transformer\./, ""),
    { "h.0.attn.bias": [1, 1, 32, 32], "h.1.attn.masked_bias": [1] },
  ] as const,
  [
    "gpt_neox",
    "masks as buffers",
    same,
    { "gpt_neox.layers.0.attention.bias": [1, 1, 32, 32], "gpt_neox.layers.0.attention.masked_bias": [1] },
  ] as const,
])("%s, %s: the loss of transformers 4", async (name, _, change, buffers) => {
  const { loss } = await computeCase(name, change, buffers);
  expect(Math.abs(loss - golden.models[name]!.loss)).toBeLessThan(5e-6);
});

test.each(Object.keys(golden.tokenizers))("tokens and chats, %s", async (name) => {
  const { files, texts, ids, messages, chat } = golden.tokenizers[name]!;
  await withFolder(files, async (folder) => {
    const tokenizer = await modelTokenizer({ read: () => Tokenizer.fromFolder(folder), addSpecialTokens: true }, null);
    expect(texts.map((text) => tokenizer.encodePrompt(text, null))).toEqual(ids);
    expect(await ChatTemplate.of(tokenizer)!.renderAll([{ messages }], "plain")).toMatchObject([{ text: chat }]);
  });
});
