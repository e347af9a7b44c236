import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatMetricsLine, type MetricsRecord } from "../src/runs/metrics.js";
import { renderReport } from "../src/runs/report/report.js";
import { type Watching, watch } from "../src/verbs/watch/watch.js";
import { hasChromium } from "./chromium.js";
import { withFolder } from "./run-command.js";

const HOSTILE = `</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">`;
const SIZES = [
  [1280, 800],
  [390, 844],
] as const;
const SCHEMES = ["light", "dark"] as const;

/** The records of a run with a warm start, two merges, rates that rise anew, and answers to a chat. */
function recordsOf({ steps, rate, isEnded }: { steps: number; rate: number; isEnded: boolean }): MetricsRecord[] {
  const records: MetricsRecord[] = [];
  const layers = ["q_proj", "v_proj"].map((kind) => ({
    ...{ name: `layers.0.self_attn.${kind}`, deltaNorm: 1, recovered: 1, codesChanged: null, rank: 8 },
  }));
  const third = Math.floor(steps / 3);
  for (let step = 1; step <= steps; step++) {
    const loss = 4 + 4 * Math.exp((-step * rate * 1e4) / steps) + 0.1 * Math.sin(7 * step);
    const phase = step <= third ? "warm-start" : "adapter";
    const measures = { learningRate: rate * (1 - (step % third) / third), gradNorm: 1 + Math.cos(step) / 3 };
    const speeds = { tokensPerSecond: 5000, seconds: step / 5 };
    records.push({ kind: "step", step, tokens: 1000 * step, loss, ...measures, ...speeds, cycle: 1, phase });
    if (step % third !== 0) continue;
    const messages = [{ role: "user", content: `What is it? ${HOSTILE}` }];
    const samples = [{ messages, text: `It is ${step}. ${HOSTILE}`, reference: "It is a long answer, of the data." }];
    const perplexity = Math.exp(loss);
    records.push({ kind: "eval", step, loss, perplexity, tokens: 100, sample: HOSTILE, samples, seconds: step / 5 });
    if (step === third) continue;
    const merge = { lossBefore: loss, lossAfter: loss, deltaNorm: 1, recovered: 1, codesChanged: null, rank: 16 };
    records.push({
      kind: "merge",
      step,
      cycle: step / third - 1,
      policy: null,
      ...merge,
      probeLogitsChange: 0,
      layers,
    });
  }
  const end = { outcome: "done", modelStep: steps, tokens: 1000 * steps, skipped: 0, seconds: steps / 5 } as const;
  if (isEnded) records.push({ kind: "end", step: steps, ...end, savingSeconds: 1, peakMemoryBytes: 5e8 });
  return records;
}

const settingsOf = (lr: number) => ({ model: `tiny ${HOSTILE}`, method: "relora", rank: 8, lr });
const linesOf = (records: readonly MetricsRecord[]): string => records.map(formatMetricsLine).join("");

const MERGED = recordsOf({ steps: 90, rate: 1e-3, isEnded: true });
const RUNS = {
  "runs/001-slow/config.resolved.json": JSON.stringify(settingsOf(1e-3)),
  "runs/001-slow/metrics.jsonl": linesOf(MERGED),
  "runs/002-fast/config.resolved.json": JSON.stringify(settingsOf(4e-3)),
  "runs/002-fast/metrics.jsonl": linesOf(recordsOf({ steps: 60, rate: 4e-3, isEnded: false })),
};

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What is wrong with a page by the rules of axe. */
async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(AXE, "utf8"));
  return page.evaluate(async () => {
    type Axe = { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}

/** Scripts for the page. */
const FOCUSED = `(({ activeElement: at, body }) =>
  at === null || at === body ? null : (at.type ?? at.ariaLabel ?? at.textContent))(document)`;
const WIDTH = "document.documentElement.scrollWidth";

/** Names of what the Tab key reaches, one after another, until it leaves the page. */
async function reachedByTab(page: Page): Promise<string[]> {
  const reached: string[] = [];
  for (let presses = 0; presses < 100; presses++) {
    await page.keyboard.press("Tab");
    const name = await page.evaluate<string | null>(FOCUSED);
    if (name === null) break;
    reached.push(name);
  }
  return reached;
}

describe.runIf(hasChromium())("in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
  });
  afterAll(() => browser.close());

  /** Shows an address in each size and scheme; `use` finds it loaded and without a fault. */
  async function shown(url: string, use: (page: Page, width: number) => Promise<void>): Promise<void> {
    for (const [width, height] of SIZES) {
      for (const colorScheme of SCHEMES) {
        const page = await browser.newPage({ viewport: { width, height }, colorScheme });
        const faults: string[] = [];
        page.on("console", (message) => faults.push(message.text()));
        page.on("pageerror", (error) => faults.push(error.message));
        await page.goto(url);
        await page.waitForSelector("#loss canvas");
        await use(page, width);
        expect(await accessibilityFaults(page)).toEqual([]);
        expect(await page.evaluate("window.hacked")).toBeUndefined();
        expect(faults).toEqual([]);
        await page.close();
      }
    }
  }

  /** The chart of losses is on the first screen, whole, and nothing is wider than the screen. */
  async function requireFirstScreen(page: Page): Promise<void> {
    const { width, height } = page.viewportSize()!;
    const canvas = (await page.locator("#loss canvas").boundingBox())!;
    expect(canvas.y + canvas.height).toBeLessThanOrEqual(height);
    expect(canvas.width).toBeGreaterThan(0.5 * Math.min(width, 900));
    expect(await page.evaluate(WIDTH)).toBe(width);
  }

  test("a report works from its file, and its loss is on the first screen", async () => {
    await withFolder({}, async (root) => {
      const file = path.join(root, "report.html");
      await writeFile(file, await renderReport({ title: HOSTILE, settings: settingsOf(1e-3), records: MERGED }));
      await shown(pathToFileURL(file).href, async (page) => {
        await requireFirstScreen(page);
        expect(await page.locator("#curves .card h2, #charts .card h2").allTextContents()).toEqual([
          ...["Learning rate", "Gradient norm", "Tokens a second", "Norm of ΔW", "Rank of the accumulated update"],
        ]);
        expect(await page.locator("#title").textContent()).toBe(HOSTILE);
        expect(await page.locator("#samples .bubble").first().textContent()).toContain(HOSTILE);
      });
    });
  });

  test("keys reach every control, move along a chart and hide a line", async () => {
    await withFolder({}, async (root) => {
      const file = path.join(root, "report.html");
      await writeFile(file, await renderReport({ title: "run", settings: settingsOf(1e-3), records: MERGED }));
      const page = await browser.newPage();
      await page.goto(pathToFileURL(file).href);
      await page.waitForSelector("#loss canvas");
      const reached = await reachedByTab(page);
      for (const name of ["radio", "range", "checkbox", "Loss, chart; arrow keys move along it", "train", "Samples"]) {
        expect(reached).toContain(name);
      }
      await page.locator("#loss .chart").focus();
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowRight");
      await expect.poll(() => page.locator("#said").textContent()).toMatch(/^step 2, single steps \d\.\d{4}, train/);
      const train = page.getByRole("button", { name: "train" });
      await train.focus();
      await page.keyboard.press("Enter");
      expect(await train.getAttribute("aria-pressed")).toBe("false");
      await page.getByRole("radio", { name: "Tokens" }).check({ force: true });
      await expect.poll(() => page.locator("#loss .u-legend th").first().textContent()).toBe("tokens");
      await page.getByRole("checkbox", { name: "Log axis" }).press("Space");
      await page.getByRole("slider").press("End");
      expect(await page.locator("#controls output").textContent()).toBe("20%");
      await page.close();
    });
  });

  describe("watch", () => {
    /** The page of runs in a folder. */
    async function watched(use: (page: Watching, runs: string) => Promise<void>): Promise<void> {
      await withFolder(RUNS, async (root) => {
        const page = await watch(path.join(root, "runs"), { port: 0 });
        try {
          await use(page, path.join(root, "runs"));
        } finally {
          await page.close();
        }
      });
    }

    test("shows runs over one another, with the settings that differ", async () => {
      await watched(async ({ url }) => {
        await shown(url, async (page) => {
          await page.getByRole("checkbox", { name: "001-slow" }).waitFor();
          await expect
            .poll(() => page.locator("#loss .u-series:not(.edge) .u-label").allTextContents())
            .toEqual(expect.arrayContaining(["001-slow", "002-fast"]));
          await requireFirstScreen(page);
          expect(await page.locator("#differences tbody").textContent()).toBe("lr0.0040.001");
          await page.getByRole("checkbox", { name: "001-slow" }).uncheck();
          await page.getByLabel("Details of").selectOption("002-fast");
          await expect.poll(() => page.locator("#facts").textContent()).toContain("60");
        });
      });
    });

    test("goes on with a run, keeps one that has gone, and says when nobody serves it any more", async () => {
      await watched(async (served, runs) => {
        const page = await browser.newPage();
        await page.goto(served.url);
        await page.getByLabel("Details of").selectOption("002-fast");
        const list = page.locator("#run-list");
        await expect.poll(() => list.textContent()).toContain("60");
        const more = recordsOf({ steps: 61, rate: 4e-3, isEnded: false }).filter(({ step }) => step === 61);
        await writeFile(path.join(runs, "002-fast/metrics.jsonl"), RUNS["runs/002-fast/metrics.jsonl"] + linesOf(more));
        await expect.poll(() => page.locator("#facts").textContent(), { timeout: 5000 }).toContain("Step61");
        await served.close();
        await expect.poll(() => page.locator("#connection").textContent(), { timeout: 5000 }).toMatch(/^Not connected/);
        expect(await list.textContent()).toContain("001-slow");
        await page.close();
      });
    });
  });
});
