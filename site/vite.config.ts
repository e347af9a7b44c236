import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { DOCS } from "./docs/dev.ts";
import { IDEA } from "./idea/page/plugin.ts";
import { siteHeader } from "./shell/header.ts";
import { BUILT_IN_TEXT } from "./train/built-in-text.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Pages with code, each a folder with an index.html, and the script of all others, which build.ts makes of Markdown. */
const INPUTS = ["train/index.html", "idea/index.html", "docs/docs.ts"].map(here);

/** The built library lies outside of this folder and finds ONNX Runtime for pages here. */
const RUNTIME: Plugin = {
  name: "onnxruntime-web",
  enforce: "pre",
  resolveId: {
    filter: { id: /^onnxruntime-web/ },
    handler(name) {
      return this.resolve(name, here("index.html"), { skipSelf: true });
    },
  },
};

/** Puts the header of all pages in the place of a comment. */
const HEADER: Plugin = {
  name: "site-header",
  transformIndexHtml: {
    order: "pre",
    handler: (page, { path }) =>
      page.replace("<!-- site header -->", siteHeader("../", path.replace(/^\/|[^/]*$/g, ""))),
  },
};

/** Threads need an isolated page. */
const ISOLATING = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** How long a plugin took is no warning. */
const CHECKS = { pluginTimings: false };

export default defineConfig({
  root: here("."),
  base: "./", // any static host, any folder of it
  plugins: [DOCS, RUNTIME, HEADER, IDEA, BUILT_IN_TEXT],
  resolve: { alias: { highrank: here("../dist/index.js") } },
  worker: { format: "es", plugins: () => [RUNTIME], rollupOptions: { checks: CHECKS } },
  server: { headers: ISOLATING, fs: { allow: [here("..")] } },
  preview: { headers: ISOLATING },
  build: {
    outDir: here("dist"),
    emptyOutDir: true,
    target: "es2023",
    rollupOptions: { input: INPUTS, checks: CHECKS },
    chunkSizeWarningLimit: 2000,
  },
});
