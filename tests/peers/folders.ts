import { readFileSync } from "node:fs";
import path from "node:path";
import { readSafetensors } from "../../src/files/safetensors.js";
import { loadModel } from "../../src/loading/folder-source.js";
import type { CausalLM } from "../../src/models/causal-lm.js";
import type { CachedDecoder } from "../../src/programs/cached-decoder.js";
import { Program } from "../../src/runtime/program.js";
import { placeholder } from "../../src/tensor/tensor.js";

/** What one side computes: the mean loss of every token after the first of its row, and (rows · time, vocab) logits. */
export interface Computed {
  readonly loss: number;
  readonly logits: Float32Array;
}

/** Rows of equally many tokens that no model has seen, below a vocabulary's size. */
export function someRows(vocabSize: number, rows: number, time: number): number[][] {
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: time }, (_, i) => (7 * i * i + 3 * i + 11 * row + 1) % vocabSize),
  );
}

/** What highrank computes with a folder. */
export async function computeFolder(folder: string, rows: readonly (readonly number[])[]): Promise<Computed> {
  return compute(await loadModel(folder), rows);
}

export async function compute(model: CausalLM, rows: readonly (readonly number[])[]): Promise<Computed> {
  const time = rows[0]!.length;
  const ids = placeholder("ids", [rows.length, time], "int32");
  const program = await Program.compile({ logits: model.logits(ids) }, { device: "cpu", threads: 1 });
  const { logits } = await program.run({ ids: Int32Array.from(rows.flat()) });
  await program.release();
  const data = logits!.data as Float32Array;
  return { loss: meanLoss(data, rows), logits: data };
}

/** Mean of −log p of every token after the first of its row. logits: (rows · time, vocab). */
function meanLoss(logits: Float32Array, rows: readonly (readonly number[])[]): number {
  const time = rows[0]!.length;
  const vocab = logits.length / rows.flat().length;
  const losses = rows.flatMap((ids, row) =>
    ids.slice(1).map((label, i) => {
      const scores = logits.subarray((row * time + i) * vocab, (row * time + i + 1) * vocab);
      const top = scores.reduce((a, b) => Math.max(a, b));
      const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
      return Math.log(sum) + top - scores[label]!;
    }),
  );
  return losses.reduce((a, b) => a + b) / losses.length;
}

/**
 * The likeliest tokens after a prompt, one after another, and the scores of the first of them.
 * @param atOnce most tokens of a prompt that is read one by one, for which nothing must be compiled.
 */
export async function continueGreedily(
  decoder: CachedDecoder,
  prompt: readonly number[],
  tokens: number,
  atOnce = 0,
): Promise<{ readonly ids: number[]; readonly logits: Float32Array }> {
  decoder.clear();
  const parts = prompt.length > atOnce ? [prompt] : prompt.map((id) => [id]);
  let logits = new Float32Array();
  for (const part of parts) logits = (await decoder.read(part)).slice();
  const ids = [likeliest(logits)];
  while (ids.length < tokens) ids.push(likeliest(await decoder.read(ids.slice(-1))));
  return { ids, logits };
}

function likeliest(logits: Float32Array): number {
  return logits.reduce((best, logit, id) => (logit > logits[best]! ? id : best), 0);
}

/** Largest difference of any logit, as a share of the largest logit. */
export function logitsApart(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [apart, largest] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    apart = Math.max(apart, Math.abs(a[i]! - b[i]!));
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return apart / largest;
}

/** What `model_folders.read` answers, without the logits. */
export interface Read {
  readonly loss: number;
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly mismatched: readonly string[];
  readonly warnings: readonly string[];
}

/** The logits that `model_folders` wrote to a file, by name. */
export async function readLogits(file: string): Promise<Map<string, Float32Array>> {
  const { tensors } = await readSafetensors(file);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array] as const));
}

/** Sizes of small models, by the names that most architectures have for them. */
export const SMALL = {
  ...{ vocab_size: 61, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, max_position_embeddings: 64, pad_token_id: null, bos_token_id: 1, eos_token_id: 2 },
};

/** A small config of each architecture, with all that sets it apart from the others. */
export const ARCHITECTURES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: SMALL,
  mistral: { ...SMALL, sliding_window: 5 },
  qwen2: { ...SMALL, use_sliding_window: true, sliding_window: 5, max_window_layers: 1 },
  qwen3: { ...SMALL, head_dim: 8, use_sliding_window: true, sliding_window: 5, max_window_layers: 1 },
  phi3: { ...SMALL, num_key_value_heads: 4, sliding_window: 5 },
  gemma3_text: { ...SMALL, head_dim: 8, sliding_window: 5, layer_types: ["sliding_attention", "full_attention"] },
  gpt2: { vocab_size: 61, n_embd: 32, n_layer: 2, n_head: 4, n_positions: 64, bos_token_id: 1, eos_token_id: 2 },
  gpt_neox: { ...SMALL, num_key_value_heads: undefined },
};

export function configOf(folder: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8"));
}
