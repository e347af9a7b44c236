import { expect, test } from "vitest";
import { exportOnnx } from "../src/verbs/export-onnx.js";
import { generateText } from "../src/verbs/generate.js";
import { openTarget, unmergedOf } from "../src/verbs/target.js";
import { withFolder } from "./run-command.js";
import { writeSmallModel } from "./small-model.js";
import { continueInTransformersJs, hasTransformersJs } from "./transformers-js.js";

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
      await exportOnnx(unmerged, { out: `${root}/exported`, dtype, largestFile });
      const text = "The 3th";
      const sampling = { temperature: 0, topK: null, topP: 1, seed: 0, maxNewTokens: 12, prompt: text };
      const place = { base: null, adapter: true, device: "cpu", threads: 1 } as const;
      const own = await generateText(`${root}/base`, { ...sampling, ...place });
      const said = await continueInTransformersJs(root, "exported", text, 12);
      expect(said.continuation).toBe(own.text);
      expect(said.text.startsWith(text)).toBe(true);
      expect(said.text.length).toBeGreaterThan(text.length);
      // A row of another length beside it changes nothing.
      expect(said.together[0]).toBe(said.text);
    });
  },
);
