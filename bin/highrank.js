#!/usr/bin/env node
// Starts the command line from the build. A fresh clone has none, so the first start there makes it.
import { spawnSync } from "node:child_process";
import { existsSync, renameSync, rmSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const here = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

function end(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

/** Beside `dist`, then renamed, so that two first starts at once do not mix. */
function build() {
  const compiler = here("node_modules/typescript/bin/tsc");
  if (!existsSync(here("tsconfig.build.json")))
    end("this package was packed without its build; pack it after npm run build");
  if (!existsSync(compiler)) end("highrank is not built, and its compiler is not installed; run npm ci");
  console.error("Building highrank, once …");
  const partial = here(`dist-${process.pid}`);
  const { status } = spawnSync(process.execPath, [compiler, "-p", here("tsconfig.build.json"), "--outDir", partial], {
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) rmSync(partial, { recursive: true, force: true });
  if (status !== 0) end("highrank could not be built; npm ci && npm run build shows why");
  try {
    renameSync(partial, here("dist"));
  } catch (error) {
    if (!existsSync(here("dist/cli/main.js"))) throw error;
    rmSync(partial, { recursive: true });
  }
}

const [major] = process.versions.node.split(".");
if (Number(major) < 20)
  end(`highrank needs Node.js 20 or later, and this is ${process.version}; see https://nodejs.org`);
if (!existsSync(here("dist/cli/main.js"))) build();
await import(new URL("../dist/cli/main.js", import.meta.url).href);
