import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { build, type Plugin } from "vite"; // a dependency of vitest
import { hasChromium } from "./chromium.js";

// Built pages in Debian's Chromium.

const SITE = fileURLToPath(new URL("../site/", import.meta.url));
const RUNTIME = path.join(SITE, "node_modules/onnxruntime-web");

/** Whether pages can be built and opened here. */
export function canOpenPages(): boolean {
  const isThere = process.env.CI === "true" || existsSync(RUNTIME);
  if (!isThere) console.warn("SKIPPED: the browser tests need npm ci --prefix site --ignore-scripts");
  return isThere && hasChromium();
}

export function launchChromium(): Promise<Browser> {
  const args = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
  ];
  return chromium.launch({ executablePath: "/usr/bin/chromium", args });
}

/** Builds one page of the site into a folder. */
export async function buildPage(name: string, outDir: string): Promise<void> {
  const thisPage: Plugin = {
    name: "this-page",
    config(config) {
      config.build!.rollupOptions!.input = path.join(SITE, name, "index.html");
    },
  };
  await build({
    ...{ configFile: path.join(SITE, "vite.config.ts"), logLevel: "error", plugins: [thisPage] },
    build: { outDir, reportCompressedSize: false },
  });
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
export const ISOLATING = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Serves a folder of files, as any static host does. */
export async function host(folder: string, headers: Readonly<Record<string, string>> = {}): Promise<Server> {
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

export async function filesOf(page: Page): Promise<Map<string, Buffer>> {
  const files = await page.evaluate<Record<string, string>>(ALL_FILES);
  return new Map(Object.entries(files).map(([name, content]) => [name, Buffer.from(content, "base64")]));
}

/** Losses of the steps in a metrics.jsonl. */
export function lossesIn(metrics: Buffer): number[] {
  const records = metrics
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { kind: string; loss: number });
  return records.flatMap(({ kind, loss }) => (kind === "step" ? [loss] : []));
}

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What is wrong with a page by the rules of axe. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(AXE, "utf8"));
  return page.evaluate(async () => {
    type Axe = { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}
