import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadModel } from "../../src/loading/folder-source.js";
import { CachedDecoder } from "../../src/programs/cached-decoder.js";
import {
  ARCHITECTURES,
  computeFolder,
  continueGreedily,
  logitsApart,
  type Read,
  readLogits,
  someRows,
} from "./folders.js";
import { ask, describePeers, realModel } from "./peer.js";

const root = mkdtempSync(path.join(tmpdir(), "highrank-generation-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Compares the scores after each prompt, and the likeliest tokens after them. */
async function compareGreedily(
  folder: string,
  prompts: readonly (readonly number[])[],
  tokens: number,
  tolerance: number,
  { anew = false, atOnce = 0 } = {},
): Promise<void> {
  const file = path.join(root, `${path.basename(folder)}.greedy`);
  const theirs = await ask<number[][]>("model_folders", "generate", {
    ...{ folder, prompts, tokens, logits: file, anew },
  });
  const logits = await readLogits(file);
  const decoder = new CachedDecoder(await loadModel(folder), { device: "cpu", threads: 2 });
  try {
    for (const [number, prompt] of prompts.entries()) {
      const ours = await continueGreedily(decoder, prompt, tokens, atOnce);
      expect(logitsApart(ours.logits, logits.get(String(number))!), `prompt ${number}`).toBeLessThan(tolerance);
      expect(ours.ids, `prompt ${number}`).toEqual(theirs[number]);
    }
  } finally {
    await decoder.release();
  }
}

const SUBJECTS = ["a lighthouse", "the tax office", "my grandmother", "an old modem", "bread", "the river", "a goat"];
const TEXTS = [
  ...SUBJECTS.map((subject, i) => `Chapter ${i + 1}. What nobody tells you about ${subject} is that`),
  "def mean(values):\n    ",
  "Berlin, Wien und Zürich sind",
  // Longer than the windows of Gemma, which are of 512 tokens.
  Array.from({ length: 60 }, (_, i) => `On day ${i + 1} we saw ${SUBJECTS[i % 7]} and ${(37 * i) % 101} birds.`).join(
    " ",
  ),
];

describePeers("real models", () => {
  test.each(["smollm2-135m", "gemma3-270m"] as const)(
    "%s: logits, and the greedy text after ten prompts",
    { timeout: 900_000 },
    async (name) => {
      const folder = await realModel(name);
      const prompts = await ask<number[][]>("model_folders", "encode", { folder, texts: TEXTS });
      expect(prompts.at(-1)!.length).toBeGreaterThan(700);
      await compareGreedily(folder, prompts, 12, 1e-4, { atOnce: 64 });
      const rows = [prompts.at(-1)!.slice(0, 24)];
      const file = path.join(root, `${name}.logits`);
      const theirs = await ask<Read>("model_folders", "read", { folder, ids: rows, logits: file });
      const ours = await computeFolder(folder, rows);
      expect(Math.abs(ours.loss / theirs.loss - 1)).toBeLessThan(2e-5);
      expect(logitsApart(ours.logits, (await readLogits(file)).get("logits")!)).toBeLessThan(1e-4);
    },
  );
});

const LONG = { short_factor: [1, 1.1, 1.3, 1.6], long_factor: [1.5, 2, 4, 8] };
const GROWING: Readonly<Record<string, readonly [type: string, change: Readonly<Record<string, unknown>>]>> = {
  longrope: [
    "phi3",
    {
      ...{ original_max_position_embeddings: 16, sliding_window: null },
      rope_parameters: { rope_type: "longrope", ...LONG },
    },
  ],
  "longrope with a window": [
    "phi3",
    { original_max_position_embeddings: 16, rope_parameters: { rope_type: "longrope", ...LONG } },
  ],
  dynamic: ["llama", { max_position_embeddings: 16, rope_parameters: { rope_type: "dynamic", factor: 4 } }],
  yarn: [
    "qwen3",
    { rope_parameters: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16, rope_theta: 700 } },
  ],
  "windows and two ropes": [
    "gemma3_text",
    { rope_parameters: { full_attention: { rope_type: "linear", factor: 4, rope_theta: 800 } } },
  ],
};

describePeers("texts that grow beyond the length from which on positions are stretched", () => {
  test.each(Object.keys(GROWING))("%s: the greedy text", async (kind) => {
    const [type, change] = GROWING[kind]!;
    const folder = path.join(root, kind.replaceAll(" ", "-"));
    const config = { model_type: type, ...ARCHITECTURES[type], ...change };
    await ask("model_folders", "write", { folder, config, seed: 3 });
    // Shorter than that length, just as long, and longer.
    const prompts = [4, 16, 17, 30].map((length) => someRows(61, 1, length)[0]!);
    await compareGreedily(folder, prompts, 20, 2e-5, { anew: true });
  });
});
