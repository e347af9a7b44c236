import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { filesIn } from "../site/train/zip-reader.js";
import { loadWordNet } from "../src/data/builtin-wordnet.js";
import { evaluate } from "../src/verbs/door.js";
import { train } from "../src/verbs/train.js";
import {
  accessibilityFaults,
  buildPage,
  canOpenPages,
  filesOf,
  host,
  ISOLATING,
  launchChromium,
  lossesIn,
} from "./in-chromium.js";

const MINUTES = 60_000;
const KIB = 1024;

/** Settings in the address of the page, other than its defaults. */
const PASTED =
  "data=paste&model=tiny&maxSteps=20&batchSize=4&reloraEvery=5&vocabSize=512&evalEvery=10&saveEvery=5&sampleTokens=8";
const HELD_OUT = "/data/held-out.txt";

const CHATS = Array.from({ length: 60 }, (_, i) => ({
  messages: [
    { role: "user", content: `What is ${i} plus ${i % 7}?` },
    { role: "assistant", content: `It is ${i + (i % 7)}, as any child knows.` },
  ],
}));

/** Writes a file where the page finds it. */
const PUT = `(async ([name, text]) => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("data", { create: true });
  const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
  await file.write(text);
  await file.close();
})`;

describe.runIf(canOpenPages())("the page that trains, in Chromium", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-site-"));
  let [browser, server]: [Browser?, Server?] = [];
  let [text, heldOut] = ["", ""];
  /** What the page wrote in a run without a break. */
  let whole: Map<string, Buffer>;
  /** A zip file of that run. */
  const zipped = path.join(folder, "run.zip");
  /** A model folder. */
  const model = path.join(folder, "run-of-node/model");

  beforeAll(async () => {
    const site = path.join(folder, "site");
    await buildPage("train", site);
    server = await host(site, ISOLATING);
    browser = await launchChromium();
    const entries = (await loadWordNet()).slice(0, 700);
    [text, heldOut] = [entries.slice(60).join("\n\n"), entries.slice(0, 60).join("\n\n")];
    await writeFile(path.join(folder, "train.txt"), text);
    await writeFile(path.join(folder, "held-out.txt"), heldOut);
  }, 10 * MINUTES);

  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(folder, { recursive: true });
  });

  /** Opens the page with settings in its address; a fault of its own fails the test. */
  async function open(context: BrowserContext, settings = ""): Promise<Page> {
    const page = await context.newPage();
    page.setDefaultTimeout(5 * MINUTES);
    page.on("pageerror", (error) => expect.soft(error.message).toBe(""));
    page.on("request", (request) => expect.soft(request.url()).toMatch(/^(http:\/\/localhost:|blob:|data:)/));
    await page.goto(`http://localhost:${(server!.address() as AddressInfo).port}/train/#${settings}`);
    await page.waitForSelector("html[data-ready]");
    return page;
  }

  const said = (page: Page, id: string, words: RegExp) =>
    page.waitForFunction(`${words}.test(document.querySelector("#${id}").textContent)`);

  async function pasteAndTrain(page: Page): Promise<void> {
    await page.evaluate(`${PUT}(${JSON.stringify(["held-out.txt", heldOut])})`);
    await page.fill("#paste", text);
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })");
    await page.fill("#others", JSON.stringify({ validData: HELD_OUT }));
    await page.click("#train");
  }

  async function download(page: Page, part: string, file: string): Promise<void> {
    const [saved] = await Promise.all([page.waitForEvent("download"), page.selectOption("#kept select", part)]);
    await saved.saveAs(file);
  }

  test(
    "opens with less than 400 KiB, and asks for nothing of ONNX Runtime before it computes",
    async () => {
      const context = await browser!.newContext();
      const page = await context.newPage();
      const paths: string[] = [];
      page.on("request", (request) => paths.push(new URL(request.url()).pathname));
      await page.goto(`http://localhost:${(server!.address() as AddressInfo).port}/train/index.html`);
      await page.waitForSelector("html[data-ready]");
      await page.waitForLoadState("networkidle");
      await context.close();
      const files = paths.filter((each) => each.startsWith("/"));
      expect(files.length).toBeGreaterThan(5);
      expect(files.filter((each) => /ort|wasm/.test(each))).toEqual([]);
      const sizes = files.map((each) => gzipSync(readFileSync(path.join(folder, "site", each))).length);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(400 * KIB);
    },
    5 * MINUTES,
  );

  test(
    "a pasted text trains with the losses of Node.js, waits, makes one step and goes on; its adapter and its run go along",
    async () => {
      const context = await browser!.newContext();
      const page = await open(context, PASTED);
      expect(await page.inputValue("#setting-maxSteps")).toBe("20");
      await pasteAndTrain(page);
      await said(page, "left", /^Step [2-9] of 20/);
      await page.click("#pause");
      await said(page, "status", /^Paused after step/);
      const pausedAt = Number(/\d+/.exec((await page.textContent("#status"))!)![0]);
      const other = await open(context);
      await said(other, "kept", /in another tab/);
      expect(await other.isDisabled("#kept button[aria-label^='Go on']")).toBe(true);
      await other.close();
      await page.click("#one-step");
      await said(page, "status", new RegExp(`^Paused after step ${pausedAt + 1}\\.`));
      await page.fill("#prompt", "A ");
      await page.click("#ask-now");
      await said(page, "ask-said", new RegExp(`by the checkpoint of step ${pausedAt + 1}\\.$`));
      expect((await page.textContent("#turns"))!.length).toBeGreaterThan(3);
      await page.click("#pause");
      await said(page, "status", /^(Done|The )/);
      expect([await page.textContent("#status"), await page.textContent("#fault")]).toEqual([
        expect.stringMatching(/^Done after 20 steps, held-out loss/),
        "",
      ]);
      const loss = Number(/held-out loss ([\d.]+)\./.exec((await page.textContent("#status"))!)![1]);
      whole = await filesOf(page);

      // The same settings in Node.js.
      const settings = JSON.parse(whole.get("runs/tiny-relora/config.resolved.json")!.toString());
      expect(settings).toMatchObject({ model: "tiny", method: "relora", reloraEvery: 5, validData: HELD_OUT });
      const inNode = await train({
        ...settings,
        ...{ data: path.join(folder, "train.txt"), validData: path.join(folder, "held-out.txt") },
        ...{ out: path.join(folder, "run-of-node"), threads: null, scratch: null },
      });
      const expected = inNode.metrics.flatMap((record) => (record.kind === "step" ? [record.loss] : []));
      const losses = lossesIn(whole.get("runs/tiny-relora/metrics.jsonl")!);
      expect(losses).toHaveLength(20);
      expect(Math.max(...losses.map((each, i) => Math.abs(each - expected[i]!)))).toBeLessThan(1e-5);

      await download(page, "adapter", path.join(folder, "adapter.zip"));
      await unzip("adapter.zip", "adapter");
      const adapter = path.join(folder, "adapter/tiny-relora/adapter");
      const evaluated = await evaluate(adapter, { data: path.join(folder, "held-out.txt") });
      expect(Math.abs(evaluated.loss - loss)).toBeLessThan(2e-5);

      await download(page, "run", zipped);
      await page.click("#kept button[aria-label^='Delete']");
      await said(page, "question-text", /\/data\/pasted-/);
      await page.click("#question-yes");
      await said(page, "kept-said", /is deleted/);
      expect([...(await filesOf(page)).keys()].filter((name) => name.startsWith("runs/"))).toEqual([]);
      await page.setInputFiles("#open-run", zipped);
      await said(page, "kept", /done, step 20 of 20/);
      const again = await filesOf(page);
      await context.close();
      const lasting = [...whole].filter(([name]) => /^(runs|data)\//.test(name));
      expect(lasting.length).toBeGreaterThan(20);
      for (const [name, content] of lasting) expect([name, again.get(name)?.equals(content)]).toEqual([name, true]);
    },
    10 * MINUTES,
  );

  /** Takes a zip file of the page apart, by what opens runs there. */
  async function unzip(file: string, into: string): Promise<void> {
    for (const { name, pieces } of await filesIn(new Blob([await readFile(path.join(folder, file))]))) {
      const target = path.join(folder, into, name);
      await mkdir(path.dirname(target), { recursive: true });
      const parts: Uint8Array[] = [];
      for await (const piece of pieces()) parts.push(piece);
      await writeFile(target, Buffer.concat(parts));
    }
  }

  test(
    "a tab that is closed in the midst of a run goes on in another to the bits of a whole run; then chats are learned",
    async () => {
      const context = await browser!.newContext();
      const first = await open(context, PASTED);
      await pasteAndTrain(first);
      await said(first, "left", /^Step ([7-9]|1\d) of 20/);
      await first.close();
      const page = await open(context, "data=paste&model=tiny&maxSteps=4&batchSize=4");
      await said(page, "kept", /not finished, step \d+ of 20/);
      // A model of the newest checkpoint, of a run that has written none.
      await download(page, "model", path.join(folder, "model.zip"));
      const model = await filesIn(new Blob([await readFile(path.join(folder, "model.zip"))]));
      expect(model.map(({ name }) => name)).toContain("tiny-relora/model/model.safetensors");
      await page.click("#kept button[aria-label='Go on with tiny-relora']");
      await said(page, "status", /^(Done|The )/);
      expect(await page.textContent("#status")).toMatch(/^Done after 20 steps/);
      const files = await filesOf(page);
      const weights = [...whole.keys()].filter((name) => /\/(adapter|deltas|model)\/.*safetensors$/.test(name));
      expect(weights).toContain("runs/tiny-relora/adapter/adapter_model.safetensors");
      for (const name of weights) expect([name, files.get(name)!.equals(whole.get(name)!)]).toEqual([name, true]);

      await page.evaluate("document.querySelector('#setup').open = true");
      await page.fill("#paste", CHATS.map((chat) => JSON.stringify(chat)).join("\n"));
      await said(page, "data-said", /, chats, about/);
      await page.fill("#setting-rank", "0");
      await page.click("#train");
      await said(page, "fault", /^Rank: /);
      expect(await page.evaluate("document.activeElement.id")).toBe("setting-rank");
      // The estimate follows what is changed.
      await page.fill("#setting-rank", "4");
      await said(page, "estimate", /\d\d samples.*by its last run here/);
      await page.click("#train");
      await said(page, "status", /^Done after 4 steps/);
      await page.selectOption("#ask-run", "tiny-relora-2");
      await page.fill("#prompt", "What is 3 plus 3?");
      await page.click("#ask-now");
      await said(page, "ask-said", /by the finished model/);
      expect(await page.locator("#turns p").count()).toBe(2);
      expect(await page.locator("#run-list tbody tr").count()).toBe(2);
      await context.close();
    },
    10 * MINUTES,
  );

  test(
    "a model folder of the visitor's is fine-tuned on an NF4 base, and a zip file of no run is refused in words",
    async () => {
      const context = await browser!.newContext();
      const page = await open(context, "method=lora&quantize=nf4&maxSteps=2&rank=4&batchSize=2");
      await page.click("text=A model of yours");
      await page.setInputFiles("#model-files", [path.join(model, "config.json")]);
      await said(page, "model-said", /tokenizer\.json, a file of weights \(\*\.safetensors\) is missing/);
      const files = readdirSync(model).map((name) => path.join(model, name));
      await page.setInputFiles("#model-files", files);
      await said(page, "model-said", /files copied/);
      await page.fill("#run-name", "of mine");
      await page.click("#train");
      await said(page, "status", /^(Done|The )/);
      expect([await page.textContent("#status"), await page.textContent("#fault")]).toEqual([
        expect.stringMatching(/^Done after 2 steps/),
        "",
      ]);
      await said(page, "kept", /of-mine.*done, step 2 of 2/);
      await page.setInputFiles("#open-run", path.join(folder, "adapter.zip"));
      await said(page, "kept-said", /holds no run/);
      await context.close();
    },
    10 * MINUTES,
  );

  test("a browser that gives the page no files is told apart, without an error", async () => {
    const context = await browser!.newContext();
    await context.addInitScript(
      "navigator.storage.getDirectory = () => Promise.reject(new DOMException('The operation is insecure.', 'SecurityError'))",
    );
    const page = await open(context);
    await said(page, "cautions", /gives the page no files/);
    expect(await page.isDisabled("#train")).toBe(true);
    await context.close();
  });

  test(
    "a run that is there stays while it trains, and where the file that would replace it is damaged",
    async () => {
      const damaged = path.join(folder, "damaged.zip");
      const bytes = await readFile(zipped);
      const place = bytes.indexOf('{"kind":"step"');
      expect(place).toBeGreaterThan(0);
      bytes[place + 2] = bytes[place + 2]! ^ 1;
      await writeFile(damaged, bytes);
      const context = await browser!.newContext();
      const page = await open(context);
      await page.setInputFiles("#open-run", zipped);
      await said(page, "kept", /done, step \d+ of \d+/);
      const before = await filesOf(page);
      const replaceBy = async (file: string, words: RegExp): Promise<void> => {
        await page.setInputFiles("#open-run", file);
        await said(page, "question-title", /Replace/);
        await page.click("#question-yes");
        await said(page, "kept-said", words);
        expect(await filesOf(page)).toEqual(before);
      };
      await replaceBy(damaged, /metrics.jsonl: is damaged in the zip file/);
      const run = await page.textContent("#kept bdi");
      await page.evaluate(`void navigator.locks.request("highrank:/runs/${run}/lock", () => new Promise(() => {}))`);
      await replaceBy(zipped, /trains just now/);
      await context.close();
    },
    5 * MINUTES,
  );

  test.each(["light", "dark"] as const)(
    "has no fault of access in %s, and nothing to scroll sideways on a phone",
    async (colorScheme) => {
      const context = await browser!.newContext({ colorScheme });
      const page = await open(context);
      await page.setInputFiles("#open-run", zipped);
      await page.waitForSelector("#loss canvas");
      await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })");
      await page.click("text=A model of yours");
      for (const width of [390, 1280]) {
        await page.setViewportSize({ width, height: 844 });
        expect(await accessibilityFaults(page)).toEqual([]);
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
      }
      await page.setInputFiles("#open-run", zipped);
      await said(page, "question-title", /Replace/);
      expect(await accessibilityFaults(page)).toEqual([]);
      await context.close();
    },
    5 * MINUTES,
  );
});
