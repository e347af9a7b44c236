import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";

const SCRIPT = fileURLToPath(new URL("transformers-js/generate.mjs", import.meta.url));

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

/** Loads ROOT/MODEL in transformers.js and continues a text. */
export async function continueInTransformersJs(
  root: string,
  model: string,
  text: string,
  maxNewTokens: number,
): Promise<TransformersText> {
  const tokenizer = await Tokenizer.fromFolder(`${root}/${model}`);
  const { endOfTextId } = tokenizer;
  const ids = [endOfTextId, ...tokenizer.encode(text)];
  const request = { root: `${root}/`, model, ids, text, maxNewTokens };
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, JSON.stringify(request)]);
  expect(status, stderr.toString()).toBe(0);
  const said = JSON.parse(stdout.toString().trim().split("\n").at(-1)!);
  const written = said.ids.filter((id: number) => id !== endOfTextId);
  return { continuation: tokenizer.decode(written), text: said.text, together: said.together };
}
