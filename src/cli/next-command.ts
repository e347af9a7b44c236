import { exists, joinPath, readText } from "#platform";
import { HighrankError } from "../base/errors.js";
import { isRunFolder } from "../runs/run-folder.js";
import { shellWord } from "./shell-word.js";

/** Lines that end an outcome: the command to go on with, each word as a shell takes it. */
export function nextLines(program: string, words: readonly string[]): string[] {
  return ["", `Next: ${[program, ...words.map(shellWord)].join(" ")}`];
}

/** A prompt for a model, and whether it is the question of a chat. */
export interface ExamplePrompt {
  readonly prompt: string;
  readonly isChat: boolean;
}

/** The words of `generate` that ask a model such a prompt; of `inspect` for one that takes no text. */
export function generateWords(model: string, example: ExamplePrompt | null): string[] {
  if (example === null) return ["inspect", model];
  const { prompt, isChat } = example;
  return ["generate", model, ...(isChat ? ["--chat"] : []), "--prompt", prompt];
}

/** False for the folder of a model without a tokenizer, as one that learned from rows of tokens is. */
export async function takesText(folder: string): Promise<boolean> {
  return !(await exists(joinPath(folder, "config.json"))) || exists(joinPath(folder, "tokenizer.json"));
}

/**
 * A prompt for what was made of a target: such as a run's data have, or one for any model; null if it takes no text.
 * @param made the folder or file that was made.
 */
export async function promptFor(target: string, made: string): Promise<ExamplePrompt | null> {
  if (!(await takesText(made))) return null;
  const anything = { prompt: "Hello!", isChat: false };
  if (!(await isRunFolder(target))) return anything;
  const { parseMetrics } = await import("../runs/metrics.js");
  try {
    const records = parseMetrics(await readText(joinPath(target, "metrics.jsonl")));
    const { outline } = records.findLast((record) => record.kind === "start") ?? {};
    return { prompt: outline?.prompt ?? "The", isChat: outline?.isChat ?? false };
  } catch (error) {
    if (error instanceof HighrankError) return anything;
    throw error;
  }
}
