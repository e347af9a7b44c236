import { joinPath, readText } from "#platform";
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

/** The words of `generate` that ask a model such a prompt. */
export function generateWords(model: string, { prompt, isChat }: ExamplePrompt): string[] {
  return ["generate", model, ...(isChat ? ["--chat"] : []), "--prompt", prompt];
}

/** A prompt for what was made of a target: such as a run's data have, or one for any model. */
export async function promptFor(target: string): Promise<ExamplePrompt> {
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
