// The example of a page with highrank, built by Vite.
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { build } from "vite"; // a dependency of vitest

/** Tests and benchmarks start in the repository. */
const ROOT = process.cwd();
const RUNTIME = path.join(ROOT, "site/node_modules/onnxruntime-web");

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

/** A page that was built. */
export interface BuiltPage {
  /** What a host serves. */
  readonly site: string;
  readonly warnings: readonly string[];
}

/** Builds the example in a new folder, with a script of its own beside what it has. */
export async function buildExamplePage(app: string, script: string): Promise<BuiltPage> {
  layOut(app);
  await writeFile(path.join(app, "src/probe.js"), script);
  const index = path.join(app, "index.html");
  const markup = await readFile(index, "utf8");
  await writeFile(index, markup.replace("</head>", '<script type="module" src="/src/probe.js"></script></head>'));
  const warnings: string[] = [];
  const heard = (message: string): void => void warnings.push(message);
  await build({
    root: app,
    configFile: false,
    customLogger: {
      ...{ info: () => {}, warn: heard, warnOnce: heard, error: heard, clearScreen: () => {} },
      ...{ hasErrorLogged: () => false, hasWarned: false },
    },
  });
  return { site: path.join(app, "dist"), warnings };
}

export function addressOf(server: Server): string {
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}
