// Loads a model, prints what that took, continues a prompt, and prints what the whole took.
import { Writer } from "../../src/verbs/generate.js";

const [folder, tokens] = process.argv.slice(2) as [string, string];
const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;

const begun = performance.now();
const writer = await Writer.open(folder, { base: null, adapter: true, device: "cpu", threads: 2 });
const ready = { readyMs: performance.now() - begun, readyPeakBytes: peakBytes() };
const sampling = { temperature: 0, topK: null, topP: 1, seed: 0 };
const { msPerToken } = await writer.continue("The cat sat", { ...sampling, maxNewTokens: Number(tokens) });
await writer.release();
console.log(JSON.stringify({ ...ready, msPerToken, peakBytes: peakBytes() }));
