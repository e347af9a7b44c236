import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";

/** The last line that a script of tests/transformers-js prints. */
function runScript(name: string, request: object) {
  const script = fileURLToPath(new URL(`transformers-js/${name}`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, JSON.stringify(request)], {
    timeout: 600_000,
  });
  expect(status, stderr.toString()).toBe(0);
  return JSON.parse(stdout.toString().trim().split("\n").at(-1)!);
}

/** Whether transformers.js is there. It is no dependency, so it has a package of its own. */
export function hasTransformersJs(): boolean {
  const modules = fileURLToPath(new URL("transformers-js/node_modules", import.meta.url));
  const isInstalled = process.env.CI === "true" || existsSync(modules);
  if (!isInstalled)
    console.warn("SKIPPED: loading exports in transformers.js needs npm ci --prefix tests/transformers-js");
  return isInstalled;
}

/** What transformers.js makes of a prompt, greedily. */
export interface TransformersText {
  /** What follows the prompt, from token ids. */
  readonly continuation: string;
  /** The prompt with what follows, by its pipeline for texts. */
  readonly text: string;
  /** The same, and that of another prompt in the same batch. */
  readonly together: readonly string[];
}

/** Loads ROOT/MODEL, in a dtype or the folder's own, in transformers.js and continues a text. */
export async function continueInTransformersJs(
  root: string,
  model: string,
  { text, maxNewTokens, dtype = null }: { text: string; maxNewTokens: number; dtype?: string | null },
): Promise<TransformersText> {
  const tokenizer = await Tokenizer.fromFolder(`${root}/${model}`);
  const { endOfTextId } = tokenizer;
  const ids = [endOfTextId, ...tokenizer.encode(text)];
  const said = runScript("generate.mjs", { root: `${root}/`, model, ids, text, maxNewTokens, dtype });
  const written = said.ids.filter((id: number) => id !== endOfTextId);
  return { continuation: tokenizer.decode(written), text: said.text, together: said.together };
}

/** What the pipeline of transformers.js answers to messages in one dtype, greedily. */
export interface TransformersAnswer {
  readonly dtype: string;
  readonly answer: string;
}

/** What ROOT/MODEL answers to messages in each dtype: in Node.js, or in WebAssembly in Chromium. */
export function answerInTransformersJs(
  place: "node" | "browser",
  request: {
    readonly root: string;
    readonly model: string;
    readonly dtypes: readonly string[];
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly maxNewTokens: number;
  },
): readonly TransformersAnswer[] {
  return runScript(place === "node" ? "answer.mjs" : "browser.mjs", {
    ...request,
    device: place === "node" ? "cpu" : "wasm",
  });
}
