import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linkFaults } from "../site/docs/links.js";
import { accessibilityFaults, canOpenPages, host, ISOLATING, launchChromium } from "./in-chromium.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const BELOW = "some/where/";

/** Of each kind of page one that has much in it. */
const PAGES = [
  "index.html",
  "docs/performance.html",
  "docs/architecture.html",
  "api/classes/highrank.AdamW.html",
  "source/examples/03-relora.ts.html",
];
const SIZES = [
  [390, 844],
  [1280, 800],
] as const;

/** The most that a page may bring when it is first opened, compressed: itself, its styles and its scripts. */
const BUDGET = { "index.html": 12_000, "docs/index.html": 16_000, "docs/errors.html": 36_000 };

test("a link that leads nowhere, and what another origin would send, is named with its page", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-links-"));
  const files = {
    "index.html": `<a href="docs/a.html#there">fine</a> <a href="docs/a.html#gone">x</a> <a href=docs/gone.html>x</a>
      <a href="/docs/a.html">x</a> <a href="https://example.org/">fine</a> <script>"<a href='no/tag'>"</script>`,
    "docs/a.html": `<h2 id="there">A</h2><a href="#there">fine</a><a href="../index.html">fine</a> <img src='gone.png'>
      <script src="https://example.org/a.js"></script><link rel="stylesheet" href="//example.org/a.css">`,
    "docs/a.css": `a { background: url("https://example.org/a.png") } b { background: url(data:,) }`,
  };
  mkdirSync(path.join(folder, "docs"));
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(folder, name), content);
  const faults = linkFaults(folder);
  rmSync(folder, { recursive: true });
  expect(faults.toSorted()).toEqual([
    "docs/a.css: loads https://example.org/a.png from another origin.",
    "docs/a.html: gone.png leads to docs/gone.png, which is not there.",
    "docs/a.html: loads //example.org/a.css from another origin.",
    "docs/a.html: loads https://example.org/a.js from another origin.",
    "index.html: /docs/a.html holds only at the top of a host.",
    "index.html: docs/a.html#gone leads to #gone, which docs/a.html does not have.",
    "index.html: docs/gone.html leads to docs/gone.html, which is not there.",
  ]);
});

describe.runIf(canOpenPages())("the built site, below a folder of a plain host", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-site-"));
  const site = path.join(folder, BELOW);
  let [browser, plain, isolating]: [Browser?, Server?, Server?] = [];
  let said = "";

  beforeAll(async () => {
    const script = path.join(ROOT, "scripts/site.js");
    ({ stdout: said } = await promisify(execFile)(process.execPath, [script, "build", site]));
    // A page that does nothing but isolate itself, beside those that train.
    const bundle = await rolldown({ input: path.join(ROOT, "site/shell/isolation.ts") });
    await bundle.write({ file: path.join(site, "probe/isolation.js") });
    writeFileSync(
      path.join(site, "probe/index.html"),
      `<script type="module">
        import { ensureIsolated } from "./isolation.js";
        document.title = await ensureIsolated();
      </script>`,
    );
    [plain, isolating] = [await host(folder, {}), await host(folder, ISOLATING)];
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    for (const server of [plain, isolating]) server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const addressOf = (server: Server | undefined): string =>
    `http://localhost:${(server!.address() as AddressInfo).port}/${BELOW}`;

  /** A page that may ask its own host alone, and that has no fault. */
  async function newPage(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser!.newContext(options);
    const page = await context.newPage();
    const origins = [plain, isolating].map((server) => new URL(addressOf(server)).origin);
    page.on("pageerror", (error) => expect.soft(error.message).toBe(""));
    page.on("response", (answer) => expect.soft([answer.url(), answer.status() < 400]).toEqual([answer.url(), true]));
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      expect.soft([request.url(), protocol === "data:" || origins.includes(origin)]).toEqual([request.url(), true]);
    });
    return page;
  }

  test("the build checked every link, and has headers for hosts that read them", () => {
    expect(said).toMatch(/: \d{3,} files, [\d.]+ MB; every link leads somewhere\n$/);
    const headers = readFileSync(path.join(site, "_headers"), "utf8");
    for (const [name, value] of Object.entries(ISOLATING)) expect(headers).toContain(`  ${name}: ${value}\n`);
  });

  test.each(
    SIZES.flatMap(([width, height]) => (["light", "dark"] as const).map((scheme) => [width, scheme, height] as const)),
  )(
    "pages %i wide, %s: nothing wrong by axe, no scrolling to the side, all pictures",
    async (width, scheme, height) => {
      const page = await newPage({ viewport: { width, height }, colorScheme: scheme });
      for (const name of PAGES) {
        await page.goto(addressOf(plain) + name);
        expect([name, await accessibilityFaults(page)]).toEqual([name, []]);
        expect([name, await page.evaluate("document.documentElement.scrollWidth")]).toEqual([name, width]);
        const empty = await page.evaluate(
          "[...document.images].filter((one) => !one.naturalWidth).map((one) => one.src)",
        );
        expect([name, empty]).toEqual([name, []]);
      }
      await page.context().close();
    },
  );

  test("the search finds sections and names of the API, and opens a page by keyboard alone", async () => {
    const page = await newPage();
    await page.goto(`${addressOf(plain)}docs/data.html`);
    await page.keyboard.press("/");
    await page.keyboard.type("rank");
    const [box, list] = [page.getByRole("combobox"), page.getByRole("listbox")];
    await list.getByRole("option").first().waitFor();
    expect(await box.getAttribute("aria-expanded")).toBe("true");
    expect(await list.getByRole("option").allTextContents()).toContainEqual(expect.stringMatching(/ranks add up/));
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.keyboard.press("Escape");
    expect([await list.isVisible(), await box.inputValue()]).toEqual([false, "rank"]);

    await box.fill("AdamW");
    const option = list.getByRole("option", { name: "AdamW API, class" });
    await option.waitFor();
    for (let i = 0; (await option.getAttribute("aria-selected")) !== "true"; i++) {
      expect(i).toBeLessThan(12);
      await page.keyboard.press("ArrowDown");
    }
    expect(await box.getAttribute("aria-activedescendant")).toBe(await option.getAttribute("id"));
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${addressOf(plain)}api/classes/highrank.AdamW.html`);
    expect(await page.textContent("h1")).toBe("Class AdamW");

    await page.fill("search input", "zzyzx");
    await page.waitForFunction("document.querySelector('[role=status]').textContent === 'Nothing found'");
    await page.context().close();
  });

  test("on a phone the list of pages opens and closes by its button and by Escape", async () => {
    const page = await newPage({ viewport: { width: 390, height: 844 } });
    await page.goto(`${addressOf(plain)}docs/data.html`);
    const list = page.getByRole("navigation", { name: "Docs" });
    expect(await list.isVisible()).toBe(false);
    await page.getByRole("button", { name: "All pages" }).click();
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.keyboard.press("Escape");
    expect(await list.isVisible()).toBe(false);
    await page.getByRole("button", { name: "All pages" }).click();
    await list.getByRole("link", { name: "Quantized weights" }).click();
    await page.waitForURL(`${addressOf(plain)}docs/quantization.html`);
    await page.context().close();
  });

  test.each(Object.entries(BUDGET))("%s brings at most %i bytes", async (name, most) => {
    const page = await newPage();
    const sizes: Promise<number>[] = [];
    page.on("response", (answer) => void sizes.push(answer.body().then((body) => gzipSync(body).length)));
    await page.goto(addressOf(plain) + name, { waitUntil: "networkidle" });
    const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    await page.context().close();
    expect(sizes.length).toBeGreaterThan(3); // itself, two style sheets, the script
    expect(bytes).toBeLessThan(most);
  });

  /** How often a page was loaded until it said how its isolation ended, and whether it is isolated. */
  async function isolate(server: Server, serviceWorkers: "allow" | "block") {
    const page = await newPage({ serviceWorkers });
    let loads = 0;
    page.on("load", () => void loads++);
    await page.goto(`${addressOf(server)}probe/index.html`);
    await page.waitForFunction("/^(isolated|impossible)$/.test(document.title)");
    const result = { said: await page.title(), isIsolated: await page.evaluate("crossOriginIsolated"), loads };
    return { page, result };
  }

  test("a host's headers isolate a page; without them it isolates itself by loading once more", async () => {
    const byHost = await isolate(isolating!, "allow");
    expect(byHost.result).toEqual({ said: "isolated", isIsolated: true, loads: 1 });
    expect(await byHost.page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)")).toBe(0);
    await byHost.page.context().close();

    const { page, result } = await isolate(plain!, "allow");
    expect(result).toEqual({ said: "isolated", isIsolated: true, loads: 2 });
    // A worker of the page is isolated too, and other pages of the site still open.
    const inWorker = `new Promise((resolve) => {
      const worker = new Worker("worker.js");
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = () => resolve("blocked");
    })`;
    writeFileSync(path.join(site, "probe/worker.js"), "postMessage(crossOriginIsolated)");
    expect(await page.evaluate(inWorker)).toBe(true);
    await page.goto(`${addressOf(plain)}docs/data.html`);
    expect(await page.textContent("h1")).toBe("Data");
    await page.goto(`${addressOf(plain)}probe/index.html`);
    await page.waitForFunction("document.title === 'isolated'");
    await page.context().close();
  });

  test("where the browser refuses service workers, the page says so and is not loaded again", async () => {
    const { page, result } = await isolate(plain!, "block");
    expect(result).toEqual({ said: "impossible", isIsolated: false, loads: 1 });
    await page.context().close();
  });

  test("a worker that is of no use is tried once, not in a loop", async () => {
    const file = path.join(site, "isolation-worker.js");
    const worker = readFileSync(file);
    writeFileSync(file, "addEventListener('activate', (event) => event.waitUntil(clients.claim()));");
    const { page, result } = await isolate(plain!, "allow");
    writeFileSync(file, worker);
    expect(result).toEqual({ said: "impossible", isIsolated: false, loads: 2 });
    await page.context().close();
  });
});
