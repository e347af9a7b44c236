import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { exportTarget } from "../src/verbs/export.js";
import type { ExportDtype, OnnxDtype } from "../src/verbs/export-formats.js";
import type { ExportedOnnx } from "../src/verbs/export-onnx.js";
import { exportOnnx } from "../src/verbs/export-onnx.js";
import { generateText } from "../src/verbs/generate.js";
import { loadModel } from "../src/verbs/model.js";
import { openTarget, unmergedOf } from "../src/verbs/target.js";
import { SMALL_CONFIGS, writeRandomModel } from "./architectures/small-configs.js";
import { hasChromium } from "./chromium.js";
import { continueText } from "./onnx-text.js";
import { peersAvailable, realModel } from "./peers/peer.js";
import { withFolder } from "./run-command.js";
import { writeSmallModel } from "./small-model.js";
import { answerInTransformersJs, continueInTransformersJs, hasTransformersJs } from "./transformers-js.js";

const text = "The 3th";
const place = { base: null, adapter: true, device: "cpu", threads: 1 } as const;
const sampling = { temperature: 0, topK: null, topP: 1, seed: 0 } as const;

test.runIf(hasTransformersJs()).each([
  ["float32", Number.POSITIVE_INFINITY],
  ["float16", Number.POSITIVE_INFINITY],
  ["float32", 40_000],
] as const)(
  "transformers.js loads a folder in %s, files up to %d bytes, and says what generate says",
  async (dtype, largestFile) => {
    await withFolder({}, async (root) => {
      await writeSmallModel(`${root}/base`, { seed: 3 });
      const unmerged = await unmergedOf(await openTarget(`${root}/base`, { base: null }));
      await exportOnnx(unmerged, { out: `${root}/exported`, dtypes: [dtype], largestFile });
      const own = await generateText(`${root}/base`, { ...sampling, ...place, maxNewTokens: 12, prompt: text });
      const said = await continueInTransformersJs(root, "exported", { text, maxNewTokens: 12 });
      expect(said.continuation).toBe(own.text);
      expect(said.text.startsWith(text)).toBe(true);
      expect(said.text.length).toBeGreaterThan(text.length);
      // A row of another length beside it changes nothing.
      expect(said.together[0]).toBe(said.text);
    });
  },
);

test.runIf(hasTransformersJs()).each(["q4", "q4f16", "q8", "fp16"] as const)(
  "transformers.js asks for %s by that name and says what the file says by itself",
  async (dtype: OnnxDtype) => {
    await withFolder({}, async (root) => {
      const wide = { hidden_size: 64, intermediate_size: 96 };
      await writeRandomModel(`${root}/base`, {
        ...SMALL_CONFIGS["llama with shared key heads and a tied head"],
        ...wide,
      });
      const unmerged = await unmergedOf(await openTarget(`${root}/base`, { base: null }));
      // The folder's own dtype is another one.
      await exportOnnx(unmerged, { out: `${root}/both`, dtypes: ["float32", dtype] });
      await exportOnnx(unmerged, { out: `${root}/alone`, dtypes: [dtype] });
      const own = await continueText(`${root}/alone`, text, 12);
      for (const [model, asked] of [
        ["both", dtype],
        ["alone", null],
      ] as const) {
        const said = await continueInTransformersJs(root, model, { text, maxNewTokens: 12, dtype: asked });
        expect(said.continuation).toBe(own);
      }
    });
  },
);

describe.runIf(hasTransformersJs() && peersAvailable())("SmolLM2-135M", () => {
  const root = mkdtempSync(path.join(tmpdir(), "highrank-transformers-js-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const question = "What is the capital of France?";
  const messages = [{ role: "user", content: question }];
  const dtypes: readonly ExportDtype[] = ["q4", "fp32", "q8", "q4f16"];
  const request = { root, model: "exported", dtypes, messages, maxNewTokens: 12 };

  test("q4 takes at most 130 MB and 5 % of the loss; Node.js and Chromium answer messages", async () => {
    const folder = await realModel("smollm2-135m");
    const options = {
      base: null,
      to: "onnx",
      out: path.join(root, "exported"),
      dtype: dtypes,
      lossTokens: 1024,
    } as const;
    const { models, float32 } = (await exportTarget(folder, options)) as ExportedOnnx;
    const [q4, , q8, q4f16] = models;
    const { loss } = float32 as { readonly loss: number };
    expect(q4!.fileBytes).toBeLessThan(130e6);
    expect(q4!.loss! / loss).toBeLessThan(1.05);
    expect(q4f16!.fileBytes).toBeLessThan(q4!.fileBytes);
    expect(q4f16!.loss! / loss).toBeLessThan(1.05);
    expect(q8!.loss! / loss).toBeLessThan(1.005);
    const highrank = await loadModel(folder);
    const own = await highrank.chat(question, { maxNewTokens: 12, temperature: 0 });
    await highrank.dispose();
    const inNode = answerInTransformersJs("node", request);
    expect(inNode[1]).toEqual({ dtype: "fp32", answer: own });
    for (const { answer } of inNode) expect(answer).not.toBe("");
    expect(inNode[0]!.answer).toContain("Paris");
    if (!hasChromium()) return;
    const inBrowser = answerInTransformersJs("browser", { ...request, dtypes: ["fp32", "q4"] });
    expect(inBrowser).toEqual([inNode[1], inNode[0]]);
  });
});
