// Prints by how many bytes the highest resident memory of this process has risen when a model is ready to generate, and when it has
// generated a few tokens: node load.mjs FOLDER OPTIONS, with options of Writer.open as JSON
import { readFileSync } from "node:fs";
import { Writer } from "../../dist/index.js";

const before = highest();
const [folder, options] = process.argv.slice(2);
const own = { base: null, adapter: true, device: "cpu", threads: 2 };
const writer = await Writer.open(folder, { ...own, ...JSON.parse(options) });
const ready = highest() - before;
const sampling = { temperature: 0, topK: null, topP: 1, seed: 0 };
await writer.continue("The cat sat", { ...sampling, maxNewTokens: 4 });
console.log(JSON.stringify({ ready, generated: highest() - before }));
await writer.release();

function highest() {
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}
