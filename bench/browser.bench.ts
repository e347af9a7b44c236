// How fast is training in a page, by WebAssembly in Chromium, against Node.js with as many threads?
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Browser } from "playwright-core";
import type * as WordNet from "../src/data/builtin-wordnet.js";
import type * as Highrank from "../src/index.js";
import { addressOf, buildExamplePage } from "../tests/example-page.js";
import { host, ISOLATING, launchChromium } from "../tests/in-chromium.js";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";
import { REPOSITORY } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "nano" },
    steps: { type: "string", default: "20" },
    rounds: { type: "string", default: "3" },
    out: { type: "string" },
  },
});
const started = setting();
const folder = mkdtempSync(join(tmpdir(), "highrank-bench-"));
/** The first steps fill caches and compile. */
const WARM_UP = 3;
const sizes = { model: flags.model, vocabSize: 4096, sequenceLength: 128, batchSize: 4, maxSteps: Number(flags.steps) };
const training = { ...sizes, method: "lora", rank: 8, evalEvery: null, evalTokens: 512, sampleTokens: 0 } as const;
const settings = {
  ...training,
  data: "text.txt",
  out: "run",
  overwrite: true,
  device: "cpu",
  saveEvery: null,
} as const;

/** Steps of one run. */
interface Measured {
  readonly tokensPerSecond: number;
  readonly lastLoss: number;
}

const SCRIPT = `
  import { train } from "highrank";
  window.measure = async (settings) => {
    const root = await navigator.storage.getDirectory();
    const file = await (await root.getFileHandle("text.txt", { create: true })).createWritable();
    await (await fetch("/text.txt")).body.pipeTo(file);
    const steps = [];
    await train(settings, { onStep: ({ loss, tokensPerSecond }) => steps.push({ loss, tokensPerSecond }) });
    return steps;
  };
`;

type Steps = readonly { readonly loss: number; readonly tokensPerSecond: number }[];

function measured(steps: Steps): Measured {
  const speeds = steps.slice(WARM_UP).map(({ tokensPerSecond }) => tokensPerSecond);
  return { tokensPerSecond: median(speeds), lastLoss: steps.at(-1)!.loss };
}

const DIST = pathToFileURL(join(REPOSITORY, "dist/")).href;
const { train }: typeof Highrank = await import(`${DIST}index.js`);
const { loadWordNet }: typeof WordNet = await import(`${DIST}data/builtin-wordnet.js`);

async function inNode(threads: number): Promise<Measured> {
  const steps: { loss: number; tokensPerSecond: number }[] = [];
  const [data, out] = [join(folder, "text.txt"), join(folder, "run")];
  await train({ ...settings, data, out, threads }, { onStep: (record) => steps.push(record) });
  return measured(steps);
}

async function inPage(browser: Browser, server: Server): Promise<Measured> {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(0);
  await page.goto(addressOf(server));
  await page.waitForFunction("window.measure");
  const steps = await page.evaluate<Steps>(`measure(${JSON.stringify(settings)})`);
  await context.close();
  return measured(steps);
}

const text = (await loadWordNet()).slice(0, 4000).join("\n\n");
writeFileSync(join(folder, "text.txt"), text);
const { site } = await buildExamplePage(join(folder, "app"), SCRIPT);
writeFileSync(join(site, "text.txt"), text);
const plain = await host(site, {});
const isolated = await host(site, ISOLATING);
const browser = await launchChromium();
const cores = availableParallelism();
const kinds = [
  { words: "1 thread", threads: 1, server: plain },
  { words: `${cores} threads, isolated`, threads: cores, server: isolated },
];
const rounds = kinds.map(() => [] as { page: number; node: number }[]);
try {
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const [i, { words, threads, server }] of kinds.entries()) {
      const ofPage = (): Promise<Measured> => inPage(browser, server);
      const ofNode = (): Promise<Measured> => inNode(threads);
      const isPageFirst = round % 2 === 0;
      const [one, other] = [await (isPageFirst ? ofPage : ofNode)(), await (isPageFirst ? ofNode : ofPage)()];
      const [page, node] = isPageFirst ? [one, other] : [other, one];
      const apart = Math.abs(page.lastLoss - node.lastLoss);
      if (!(apart < 1e-4)) throw new Error(`${words}: the losses differ by ${apart} after ${flags.steps} steps`);
      rounds[i]!.push({ page: page.tokensPerSecond, node: node.tokensPerSecond });
    }
  }
} finally {
  await browser.close();
  for (const server of [plain, isolated]) server.close();
  rmSync(folder, { recursive: true });
}

const rows = kinds.map(({ words }, i) => {
  const ratios = rounds[i]!.map(({ page, node }) => page / node);
  const [page, node] = [median(rounds[i]!.map((pair) => pair.page)), median(rounds[i]!.map((pair) => pair.node))];
  const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
  return [words, page.toFixed(0), node.toFixed(0), median(ratios).toFixed(2), range];
});
console.log(markdownTable(["WebAssembly", "page, tokens/s", "Node.js, tokens/s", "ratio", "of the rounds"], rows));
console.log(`\n${settingLine(started)}`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, settings, rounds });
