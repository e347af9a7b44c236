import { describe, expect, test } from "vitest";
import { SMALL_CONFIGS, type SmallConfig } from "../../tests/architectures/small-configs.js";
import { BYTE_TOKENIZER, parrot } from "../../tests/parrot-model.js";
import { DataError } from "../base/errors.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Program } from "../runtime/program.js";
import { Rng } from "../tensor/random.js";
import { placeholder } from "../tensor/tensor.js";
import { type SamplingOptions, sampleToken } from "./sampling.js";
import { TextGenerator, type TextOptions } from "./text-generator.js";

const tokenizer = BYTE_TOKENIZER;
const MACHINE = { device: "cpu", threads: 1 } as const;
const GREEDY = { temperature: 0, topK: null, topP: 1 };
const SAMPLED = { temperature: 1.2, topK: 40, topP: 0.9 };

function modelOf(config: SmallConfig, longest = 128): CausalLM {
  const sizes = { vocab_size: 257, max_position_embeddings: longest, n_positions: longest, initializer_range: 0.5 };
  return describeModel({ ...SMALL_CONFIGS[config], ...sizes }).create(new Rng(3));
}

interface Continued {
  readonly text: string;
  readonly tokens: number;
  /** How often the context was full. */
  readonly contextRestarts: number;
}

/**
 * The continuation, which no token ends, from the logits of the whole text, without a cache. Past its context the
 * model has the last half of the text.
 */
async function continuation(
  model: CausalLM,
  prompt: string,
  length: number,
  sampling: SamplingOptions,
): Promise<Continued> {
  const longest = model.config.maxSequenceLength;
  const all = [tokenizer.endOfTextId, ...tokenizer.encode(prompt)];
  const written: number[] = [];
  const rng = new Rng(5, "draws");
  const logits = model.logits(placeholder("ids", [1, longest], "int32"));
  const program = await Program.compile({ logits }, MACHINE);
  let [start, contextRestarts] = [0, 0];
  while (written.length < length) {
    if (all.length - start > longest) {
      start = all.length - Math.ceil(longest / 2);
      contextRestarts++;
    }
    const recent = all.slice(start);
    const ids = new Int32Array(longest);
    ids.set(recent);
    const { data } = (await program.run({ ids })).logits!;
    const last = (data as Float32Array).slice((recent.length - 1) * 257, recent.length * 257);
    const token = sampleToken(last, sampling, rng);
    all.push(token);
    written.push(token);
  }
  await program.release();
  return { text: tokenizer.decode(written), tokens: written.length, contextRestarts };
}

async function generate(
  model: CausalLM,
  prompt: string,
  options: Partial<TextOptions> = {},
  endIds: readonly number[] = [tokenizer.endOfTextId],
) {
  const generator = new TextGenerator(model, tokenizer, MACHINE, endIds);
  const pieces: string[] = [];
  const generation = await generator.generate(
    prompt,
    { ...GREEDY, maxNewTokens: 20, ...options, onText: (piece) => pieces.push(piece) },
    new Rng(5, "draws"),
  );
  await generator.release();
  return { ...generation, pieces };
}

describe.each(Object.keys(SMALL_CONFIGS) as SmallConfig[])("%s", (config) => {
  test.each([
    ["greedy", GREEDY],
    ["sampled", SAMPLED],
  ] as const)("%s text is that without a cache", async (_, sampling) => {
    const model = modelOf(config);
    for (const prompt of ["", "a tree", "a prompt much longer than the window that some of the layers look back on"]) {
      const { text, tokens, contextRestarts } = await generate(model, prompt, { ...sampling, maxNewTokens: 40 }, []);
      expect({ text, tokens, contextRestarts }).toEqual(await continuation(model, prompt, 40, sampling));
    }
  });

  test("past its context the model goes on from the last half of the text", async () => {
    const model = modelOf(config, 37);
    for (const prompt of ["a tree", "longer than all that the model may see at a time"]) {
      const { text, tokens, contextTokens, contextRestarts } = await generate(
        model,
        prompt,
        { ...SAMPLED, maxNewTokens: 70 },
        [],
      );
      const expected = await continuation(model, prompt, 70, SAMPLED);
      expect(expected.contextRestarts).toBeGreaterThan(1);
      expect({ text, tokens, contextRestarts }).toEqual(expected);
      expect(contextTokens).toBe(37);
    }
  });
});

const TEXT = "naïve 🙂 text, said twice: naïve 🙂 text";

describe("streaming", () => {
  test("gives whole characters, as soon as they are there", async () => {
    const { text, pieces, finish } = await generate(parrot(Buffer.from(TEXT)).model, "", { maxNewTokens: 100 });
    expect(pieces).toEqual([...TEXT]);
    expect({ text, finish }).toEqual({ text: TEXT, finish: "end-of-text" });
  });

  test("gives what is not a character at the end, or before the next", async () => {
    const smile = Buffer.from("🙂");
    const bytes = Buffer.concat([Buffer.from("a"), smile.subarray(0, 2), Buffer.from("b"), smile.subarray(0, 3)]);
    const { text, pieces } = await generate(parrot(bytes).model, "", { maxNewTokens: 100 });
    expect(text).toBe(bytes.toString());
    expect(pieces).toEqual(["a", "\ufffdb", "\ufffd"]);
  });

  test("is cut at a number of tokens, within a character too", async () => {
    const { text, tokens, finish } = await generate(parrot(Buffer.from(TEXT)).model, "", { maxNewTokens: 9 });
    expect({ text, tokens, finish }).toEqual({ text: "naïve \ufffd", tokens: 9, finish: "length" });
  });
});

describe("stop texts", () => {
  test.each([
    [["said"], "naïve 🙂 text, "],
    [["🙂"], "naïve "],
    [["n"], ""],
    [["t, s", "text"], "naïve 🙂 "],
    [["text", "t, s"], "naïve 🙂 "],
    [["ext, sald", "ice"], "naïve 🙂 text, said tw"],
    [["absent", "texts"], TEXT],
    [[TEXT.slice(-3)], "naïve 🙂 t"],
    [["twice: naïve 🙂 text!"], TEXT],
  ] as const)("%j", async (stop, expected) => {
    const { text, pieces, finish } = await generate(parrot(Buffer.from(TEXT)).model, "", { maxNewTokens: 100, stop });
    expect({ text, finish }).toEqual({ text: expected, finish: expected === TEXT ? "end-of-text" : "stop" });
    expect(pieces.join("")).toBe(expected);
  });

  test("hold back no more than what may be their beginning", async () => {
    const stop = ["ve 🙁", "x"];
    const { pieces } = await generate(parrot(Buffer.from(TEXT)).model, "", { maxNewTokens: 100, stop });
    expect(pieces).toEqual(["n", "a", "ï", "ve 🙂", " ", "t", "e"]);
  });
});

test("what begins with all that was read and written is not computed again", async () => {
  const model = modelOf("llama");
  const generator = new TextGenerator(model, tokenizer, MACHINE);
  const options = { ...GREEDY, maxNewTokens: 6 };
  const ids = [0, ...tokenizer.encode("a tree")];
  const first = await generator.continueTokens(ids, options, new Rng(0));
  const more = [...ids, ...tokenizer.encode(first.text), ...tokenizer.encode(" and more")];
  const again = new TextGenerator(model, tokenizer, MACHINE);
  const alone = await again.continueTokens(more, options, new Rng(0));
  // Other weights, so that what was kept shows.
  model.embedTokens.weight.values.fill(0, 0, 16 * 257);
  const kept = await generator.continueTokens(more, options, new Rng(0));
  expect(kept.promptTokens).toBe(alone.promptTokens);
  const forgotten = await generator.continueTokens(more.slice(1), options, new Rng(0));
  expect(new Set([alone.text, kept.text, forgotten.text]).size).toBeGreaterThan(1);
  await generator.release();
  await again.release();
});

test("text ends at the end-of-text token", async () => {
  const model = modelOf("llama");
  // All logits are zero, and of equals the first is taken: the end-of-text token has id 0.
  model.headWeight.values.fill(0);
  expect(await generate(model, "a")).toMatchObject({ text: "", tokens: 0, finish: "end-of-text", promptTokens: 2 });
});

test("tokens that the model does not have are an error", async () => {
  const generator = new TextGenerator(modelOf("llama"), tokenizer, MACHINE);
  await expect(generator.continueTokens([257], { ...GREEDY, maxNewTokens: 1 }, new Rng(0))).rejects.toThrow(DataError);
  await generator.release();
});
