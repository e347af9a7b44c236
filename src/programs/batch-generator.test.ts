import { expect, test } from "vitest";
import { SMALL_CONFIGS } from "../../tests/architectures/small-configs.js";
import { BYTE_TOKENIZER } from "../../tests/parrot-model.js";
import { describeModel } from "../models/architectures.js";
import { Rng } from "../tensor/random.js";
import { BatchGenerator, type BatchText } from "./batch-generator.js";
import type { WrittenToken } from "./draft.js";
import { TextGenerator } from "./text-generator.js";

const MACHINE = { device: "cpu", threads: 1 } as const;
const OPTIONS = { temperature: 0, topK: null, topP: 1, maxNewTokens: 8 };
const [config] = Object.values(SMALL_CONFIGS);
const model = describeModel({
  ...config,
  vocab_size: 257,
  max_position_embeddings: 512,
  initializer_range: 0.5,
}).create(new Rng(3));
const idsOf = (text: string): number[] => [BYTE_TOKENIZER.endOfTextId, ...BYTE_TOKENIZER.encode(text)];
const promptOf = (ids: readonly number[]) => ({ ids, rng: new Rng(0), isEnd: () => false });

async function withBatch(rows: number, use: (batch: BatchGenerator) => Promise<void>): Promise<void> {
  const batch = new BatchGenerator(model, BYTE_TOKENIZER, MACHINE, rows);
  try {
    await use(batch);
  } finally {
    await batch.release();
  }
}

async function finish(batch: BatchGenerator): Promise<BatchText[]> {
  const ended: BatchText[] = [];
  while (batch.isBusy) ended.push(...(await batch.step()));
  return ended;
}

async function alone(ids: readonly number[]): Promise<string> {
  const generator = new TextGenerator(model, BYTE_TOKENIZER, MACHINE, []);
  const { text } = await generator.generate(ids, OPTIONS, new Rng(0));
  await generator.release();
  return text;
}

test("texts join others at their next token, and may be left", () =>
  withBatch(3, async (batch) => {
    const first = batch.begin(promptOf(idsOf("a tree")), OPTIONS);
    await batch.step();
    await batch.step();
    const second = batch.begin(promptOf(idsOf("the cat")), OPTIONS);
    const third = batch.begin(promptOf(idsOf("third")), OPTIONS);
    expect([batch.room, batch.isBusy]).toEqual([0, true]);
    await batch.step();
    batch.leave(third);
    batch.leave(third);
    expect(batch.room).toBe(1);
    expect(await finish(batch)).toEqual([first, second]);
    expect(batch.room).toBe(3);
    expect([first.answer.text, second.answer.text]).toEqual([
      await alone(idsOf("a tree")),
      await alone(idsOf("the cat")),
    ]);
    expect(third.answer.tokens).toBe(1);
  }));

test("a prompt that goes on from what a row has read is not read again, and its text is the same", () =>
  withBatch(2, async (batch) => {
    const start = idsOf("a tree");
    const chosen: number[] = [];
    const tokens = { likeliest: 0, onToken: ({ id }: WrittenToken) => void chosen.push(id) };
    batch.begin(promptOf(start), { ...OPTIONS, tokens });
    await finish(batch);
    batch.begin(promptOf(idsOf("other")), OPTIONS);
    await finish(batch);
    const next = [...start, ...chosen, ...BYTE_TOKENIZER.encode(" and the next turn")];
    const text = batch.begin(promptOf(next), OPTIONS);
    // What is left to read is the last token of the answer and the turn.
    expect((text as BatchText & { next: number[] }).next).toEqual(next.slice(start.length + chosen.length - 1));
    await finish(batch);
    expect(text.answer.text).toBe(await alone(next));
    expect(text.answer.promptTokens).toBe(next.length);
  }));

test("tokens are told with their scores and places", () =>
  withBatch(1, async (batch) => {
    const told: WrittenToken[] = [];
    const text = batch.begin(promptOf(idsOf("a")), {
      ...OPTIONS,
      tokens: { likeliest: 257, onToken: (token) => void told.push(token) },
    });
    await finish(batch);
    expect(told.length).toBe(8);
    for (const { id, logprob, offset, likeliest } of told) {
      expect(likeliest[0]).toEqual({ id, logprob });
      expect(likeliest.reduce((sum, each) => sum + Math.exp(each.logprob), 0)).toBeCloseTo(1, 6);
      expect(offset).toBeLessThanOrEqual(text.answer.text.length);
    }
  }));
