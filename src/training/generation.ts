import { cpuCount } from "#platform";
import { Tokenizer } from "../data/tokenizer.js";
import { Rng } from "../tensor/random.js";
import type { Generation, GenerationOptions } from "./contracts.js";
import { loadTarget } from "./load-target.js";
import { TextGenerator } from "./text-generator.js";

/** Continues a prompt. The same seed gives the same text. @throws CheckpointError or ConfigError if there is no model. */
export async function generateText(target: string, options: GenerationOptions): Promise<Generation> {
  const { model, folder } = await loadTarget(target, options);
  const tokenizer = await Tokenizer.fromFolder(folder);
  const { device, threads, prompt, seed } = options;
  const generator = new TextGenerator(model, tokenizer, { device, threads: threads ?? cpuCount() });
  try {
    return await generator.generate(prompt, options, new Rng(seed, "generate"));
  } finally {
    await generator.release();
  }
}
