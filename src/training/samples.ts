import { BatchGenerator } from "../programs/batch-generator.js";
import type { TextGenerator } from "../programs/text-generator.js";
import type { HeldOutSample } from "../runs/held-out-sample.js";
import { Rng } from "../tensor/random.js";
import type { PreparedRun } from "./prepare.js";

/** Options of texts that may go on in many ways. */
const SAMPLING = { temperature: 0.8, topK: 50, topP: 1 };
/** Options of answers: the likeliest tokens, so that they differ by what was learned alone. */
const ANSWERING = { temperature: 0, topK: null, topP: 1 };

/** A text that the model writes after `samplePrompt`, or as an answer to it; empty where none is asked for. */
export async function writeSample(
  { settings, sampleChat }: PreparedRun,
  generator: TextGenerator | null,
  step: number,
): Promise<string> {
  const { sampleTokens, samplePrompt, seed } = settings;
  if (generator === null || sampleTokens === 0) return "";
  const options = { ...SAMPLING, maxNewTokens: sampleTokens };
  const [prompt, endIds] = sampleChat === null ? [samplePrompt, []] : [sampleChat.ids, sampleChat.endIds];
  const { text } = await generator.generate(prompt, options, new Rng(seed, "sample", step), endIds);
  return (sampleChat === null ? samplePrompt : `${sampleChat.question}\n`) + text;
}

/**
 * Answers the held-out prompts, all at once. Beginnings of texts are continued with the same random numbers in each
 * evaluation. The decoder's memory is let go afterwards.
 */
export async function answerHeldOut(run: PreparedRun): Promise<HeldOutSample[]> {
  const { heldOutPrompts: prompts, model, tokenizer, threads, settings } = run;
  if (tokenizer === null || prompts.length === 0) return [];
  const { device, deterministic, seed, sampleTokens } = settings;
  const generator = new BatchGenerator(model, tokenizer, { device, threads, deterministic }, prompts.length);
  const { isOpen } = prompts[0]!;
  const options = { ...(isOpen ? SAMPLING : ANSWERING), maxNewTokens: sampleTokens };
  const asked = prompts.map(({ ids, endIds }, place) => ({
    ids,
    rng: new Rng(seed, "held-out sample", place),
    isEnd: (id: number) => id === tokenizer.endOfTextId || endIds.includes(id),
  }));
  const texts = new Map<number, string>();
  try {
    for await (const [place, { text }] of generator.answers(inTurn(asked), options)) texts.set(place, text);
  } finally {
    await generator.release();
  }
  return prompts.map(({ shown: { reference, ...prompt } }, place) => ({
    ...prompt,
    text: texts.get(place)!,
    ...(reference !== "" && { reference }),
  }));
}

async function* inTurn<T>(items: Iterable<T>): AsyncGenerator<T, void, undefined> {
  yield* items;
}
