import { describe, expect, test } from "vitest";
import { SMALL_CONFIGS, type SmallConfig } from "../../tests/architectures/small-configs.js";
import { BYTE_TOKENIZER, parrot } from "../../tests/parrot-model.js";
import { DataError } from "../base/errors.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM } from "../models/causal-lm.js";
import { liveSessionCount } from "../runtime/session.js";
import { Rng } from "../tensor/random.js";
import { BatchGenerator, type BatchOptions, type BatchPrompt, inOrder } from "./batch-generator.js";
import { type Answer, TextGenerator } from "./text-generator.js";

const tokenizer = BYTE_TOKENIZER;
const MACHINE = { device: "cpu", threads: 1 } as const;
const GREEDY = { temperature: 0, topK: null, topP: 1 };
const SAMPLED = { temperature: 1.2, topK: 40, topP: 0.9 };

/** Prompts of one token, of a few, longer than a window, and longer than a step reads at a time. */
const PROMPTS = [
  "",
  "a",
  "a tree",
  "a prompt much longer than the window that some layers look back on",
  "b".repeat(270),
]
  .flatMap((prompt) => [prompt, `${prompt} again`])
  .map((prompt) => [tokenizer.endOfTextId, ...tokenizer.encode(prompt)]);

function modelOf(
  config: SmallConfig,
  { longest = 512, ...change }: { longest?: number; [key: string]: unknown } = {},
): CausalLM {
  const sizes = { vocab_size: 257, max_position_embeddings: longest, n_positions: longest, initializer_range: 0.5 };
  return describeModel({ ...SMALL_CONFIGS[config], ...sizes, ...change }).create(new Rng(3));
}

const isNoEnd = (): boolean => false;

async function* promptsOf(
  all: readonly (readonly number[])[],
  isEnd: (id: number) => boolean = isNoEnd,
): AsyncGenerator<BatchPrompt> {
  for (const [row, ids] of all.entries()) yield { ids, rng: new Rng(5, "draws", row), isEnd };
}

async function together(
  model: CausalLM,
  prompts: AsyncIterable<BatchPrompt>,
  rows: number,
  options: BatchOptions,
): Promise<Answer[]> {
  const generator = new BatchGenerator(model, tokenizer, MACHINE, rows);
  const answers: Answer[] = [];
  try {
    for await (const answer of inOrder(generator.answers(prompts, options))) answers.push(answer);
    return answers;
  } finally {
    await generator.release();
  }
}

async function alone(
  model: CausalLM,
  all: readonly (readonly number[])[],
  options: BatchOptions,
  endIds: readonly number[] = [],
): Promise<Answer[]> {
  const generator = new TextGenerator(model, tokenizer, MACHINE, endIds);
  const answers: Answer[] = [];
  for (const [row, ids] of all.entries()) {
    // Nothing is kept from the prompt before.
    const generation = await generator.generate(ids, options, new Rng(5, "draws", row));
    const { msPerToken, msPerPromptToken, ...answer } = generation;
    answers.push(answer);
  }
  await generator.release();
  return answers;
}

describe.each(Object.keys(SMALL_CONFIGS) as SmallConfig[])("%s", (config) => {
  test.each([
    ["greedy", GREEDY],
    ["sampled", SAMPLED],
  ] as const)("%s texts are those of each prompt alone, however many there are at once", async (_, sampling) => {
    const model = modelOf(config);
    const options = { ...sampling, maxNewTokens: 40 };
    const expected = await alone(model, PROMPTS, options);
    expect(new Set(expected.map(({ text }) => text)).size).toBeGreaterThan(4);
    for (const rows of [1, 3, 16]) {
      expect(await together(model, promptsOf(PROMPTS), rows, options), `${rows} rows`).toEqual(expected);
    }
  });

  test("a beginning that texts have in common is read once, and they are the same", async () => {
    const model = modelOf(config);
    const system = "said to all of them at first: ";
    const ends = ["x", "a longer end", "b".repeat(80), "", "d".repeat(300), "e", "x"];
    const prompts = ends.map((end) => [0, ...tokenizer.encode(system + end)]);
    const options = { ...GREEDY, maxNewTokens: 12 };
    const expected = await alone(model, prompts, options);
    for (const rows of [3, 7]) {
      expect(await together(model, promptsOf(prompts), rows, options), `${rows} rows`).toEqual(expected);
    }
  });

  test("past its context each text goes on from its own last half", async () => {
    const model = modelOf(config, { longest: 37 });
    const options = { ...SAMPLED, maxNewTokens: 70 };
    const expected = await alone(model, PROMPTS, options);
    for (const { contextRestarts } of expected) expect(contextRestarts).toBeGreaterThan(1);
    expect(await together(model, promptsOf(PROMPTS), 4, options)).toEqual(expected);
  });
});

test.each([20, 40, 64])("a common beginning within a window of %i tokens, which some texts outgrow", async (window) => {
  const model = modelOf("gemma3_text, with sliding windows and two kinds of positions", { sliding_window: window });
  const ends = ["x", "a longer end", "", "b".repeat(60), "e", "y"];
  const prompts = ends.map((end) => [0, ...tokenizer.encode(`said at first: ${end}`)]);
  const options = { ...GREEDY, maxNewTokens: 30 };
  expect(await together(model, promptsOf(prompts), 3, options)).toEqual(await alone(model, prompts, options));
});

describe("positions that depend on the length of a text", () => {
  test.each([
    ["dynamic", { rope_type: "dynamic", factor: 4, original_max_position_embeddings: 24 }],
    [
      "longrope",
      {
        ...{ rope_type: "longrope", original_max_position_embeddings: 24, attention_factor: 1 },
        ...{ short_factor: [1, 1.5], long_factor: [2, 9] },
      },
    ],
  ])("%s", async (_, scaling) => {
    const model = modelOf("llama", { rope_scaling: scaling, max_position_embeddings: 512 });
    const options = { ...GREEDY, maxNewTokens: 40 };
    expect(await together(model, promptsOf(PROMPTS), 4, options)).toEqual(await alone(model, PROMPTS, options));
  });
});

describe("texts of unlike lengths", () => {
  const WORDS = ["one", "a longer answer than the others", "naïve 🙂", "", "two, three", "four"];
  const { model } = parrot(Buffer.from(WORDS.join("")));

  test("end by themselves, at a stop text or at their number of tokens, and make room", async () => {
    const ends = new Set([tokenizer.endOfTextId]);
    const options = { ...SAMPLED, temperature: 0, maxNewTokens: 20, stop: ["gh"] };
    const prompts = [
      ...PROMPTS.slice(0, 3),
      ...WORDS.map((word) => [tokenizer.endOfTextId, ...tokenizer.encode(word)]),
    ];
    const expected = await alone(model, prompts, options, [...ends]);
    for (const rows of [2, 5]) {
      expect(
        await together(
          model,
          promptsOf(prompts, (id) => ends.has(id)),
          rows,
          options,
        ),
      ).toEqual(expected);
    }
  });

  test("come in the order in which they end, with their places", async () => {
    const random = modelOf("llama");
    const generator = new BatchGenerator(random, tokenizer, MACHINE, 2);
    const places: number[] = [];
    async function* prompts(): AsyncGenerator<BatchPrompt> {
      for (const [row, ids] of PROMPTS.slice(0, 4).entries()) {
        // The first is never at its end, the others at once.
        yield { ids, rng: new Rng(row), isEnd: () => row > 0 };
      }
    }
    for await (const [place] of generator.answers(prompts(), { ...GREEDY, maxNewTokens: 9 })) places.push(place);
    expect(places).toEqual([1, 2, 3, 0]);
    await generator.release();
  });
});

test("an aborted signal ends the generation, and its reason is thrown", async () => {
  const controller = new AbortController();
  async function* prompts(): AsyncGenerator<BatchPrompt> {
    for await (const prompt of promptsOf(PROMPTS)) {
      if (prompt.rng.step === 3) controller.abort(new Error("enough"));
      yield prompt;
    }
  }
  const options = { ...GREEDY, maxNewTokens: 3, signal: controller.signal };
  const live = liveSessionCount();
  await expect(together(modelOf("llama"), prompts(), 2, options)).rejects.toThrow("enough");
  expect(liveSessionCount()).toBe(live);
});

test("tokens that the model does not have are an error", async () => {
  const options = { ...GREEDY, maxNewTokens: 3 };
  await expect(together(modelOf("llama"), promptsOf([[257]]), 2, options)).rejects.toThrow(DataError);
});
