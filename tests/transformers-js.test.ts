import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Tokenizer } from "../src/data/tokenizer.js";
import { exportOnnx, type OnnxOptions } from "../src/training/export-onnx.js";
import { generateText } from "../src/training/generation.js";
import { openTarget } from "../src/training/merge-target.js";
import { SMALL_CONFIGS, type SmallConfig, writeRandomModel } from "./architectures/small-configs.js";
import { withFolder } from "./run-command.js";
import { writeSmallModel } from "./small-model.js";

const SCRIPT = fileURLToPath(new URL("transformers-js/generate.mjs", import.meta.url));

const isInstalled =
  process.env.CI === "true" || existsSync(fileURLToPath(new URL("transformers-js/node_modules", import.meta.url)));
if (!isInstalled)
  console.warn("SKIPPED: loading exports in transformers.js needs npm ci --prefix tests/transformers-js");

test.runIf(isInstalled).each([
  ["float32", Number.POSITIVE_INFINITY],
  ["float16", Number.POSITIVE_INFINITY],
  ["float32", 40_000],
] as const)(
  "transformers.js loads a folder in %s, files up to %d bytes, and says what generate says",
  async (dtype, largestFile) => {
    await withFolder({}, async (root) => {
      await writeSmallModel(`${root}/base`, { seed: 3 });
      await compareText(root, { dtype, largestFile });
    });
  },
);

test.runIf(isInstalled).each(Object.keys(SMALL_CONFIGS) as SmallConfig[])(
  "transformers.js says what generate says: %s",
  async (config) => {
    await withFolder({}, async (root) => {
      await writeRandomModel(`${root}/base`, SMALL_CONFIGS[config]);
      await compareText(root, { dtype: "float32" });
    });
  },
);

/** Exports the model of the folder `base` and compares the texts that both sides continue. */
async function compareText(root: string, options: Omit<OnnxOptions, "out">): Promise<void> {
  await exportOnnx(await openTarget(`${root}/base`, { base: null }), { out: `${root}/exported`, ...options });
  const text = "The 3th";
  const sampling = { temperature: 0, topK: null, topP: 1, seed: 0, maxNewTokens: 12, prompt: text };
  const place = { base: null, adapter: true, device: "cpu", threads: 1 } as const;
  const own = await generateText(`${root}/base`, { ...sampling, ...place });
  const tokenizer = await Tokenizer.fromFolder(`${root}/base`);
  const ids = [tokenizer.endOfTextId, ...tokenizer.encode(text)];
  const request = { root: `${root}/`, model: "exported", ids, text, maxNewTokens: 12 };
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, JSON.stringify(request)]);
  expect(status, stderr.toString()).toBe(0);
  const said = JSON.parse(stdout.toString().trim().split("\n").at(-1)!);
  expect(tokenizer.decode(said.ids.filter((id: number) => id !== tokenizer.endOfTextId))).toBe(own.text);
  expect(said.text.startsWith(text)).toBe(true);
  expect(said.text.length).toBeGreaterThan(text.length);
  // A row of another length beside it changes nothing.
  expect(said.together[0]).toBe(said.text);
}
