import { tmpdir } from "node:os";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { Worker } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { trainTokenizer } from "../tokenizers/train-tokenizer.js";
import { EncodingPool, type PoolOptions } from "./encoding-pool.js";
import type { EncodingTask } from "./encoding-work.js";

const WORDS = ["the cat", "sat on", "naïve 🙂 mats", "and 12345", "<|endoftext|>", "so"];
const texts = (count: number): string[] =>
  Array.from({ length: count }, (_, i) =>
    Array.from({ length: 1 + (i % 5) }, (_, j) => WORDS[(i * j + i) % 6]).join(" "),
  );
const tokenizer = trainTokenizer(texts(40), { vocabSize: 300, maxLength: 64 });
const scoring = { trainOnInputs: false, scoredTurns: "whole" } as const;

const TASKS: readonly EncodingTask[] = [
  ...[3, 1, 4, 1, 5].map((count): EncodingTask => ({ kind: "documents", texts: texts(count) })),
  {
    kind: "samples",
    scoring,
    samples: texts(9).map((text, index) =>
      index % 2 === 0 ? { kind: "text", text } : { kind: "completion", text, promptLength: text.length >> 1 },
    ),
  },
];

async function encodeAll(options: PoolOptions, by: Tokenizer = tokenizer): Promise<unknown[]> {
  const pool = new EncodingPool(by, options);
  try {
    return await Promise.all(TASKS.map((task) => pool.encode(task)));
  } finally {
    await pool.close();
  }
}

test("the tokens are the same with any number of threads", async () => {
  const alone = await encodeAll({ workers: 1 });
  expect(alone[5]).toMatchObject({ ends: expect.objectContaining({ length: 9 }) });
  for (const workers of [2, 3]) expect(await encodeAll({ workers, alone: 0 })).toEqual(alone);
  const bare = tokenizer.withoutSurround();
  expect(await encodeAll({ workers: 2, alone: 0 }, bare)).toEqual(await encodeAll({ workers: 1 }, bare));
});

test("threads are started once the texts are many", async () => {
  const module = () => new Worker(new URL("../../tests/data/answering-thread.js", import.meta.url), { type: "module" });
  const answers = await encodeAll({ workers: 2, alone: 1, module });
  expect(answers.map((answer) => answer === "by a thread")).toEqual([false, true, true, true, true, true]);
});

test("where threads fail, the tokens are made without them", async () => {
  const alone = await encodeAll({ workers: 1 });
  const missing = () => new Worker(new URL("./no-such-module.mjs", pathToFileURL(`${tmpdir()}/`)), { type: "module" });
  expect(await encodeAll({ workers: 2, alone: 0, module: missing })).toEqual(alone);
});

test("an error of a thread is that of the tokenizer", async () => {
  const withoutEnd = Tokenizer.fromJson(tokenizer.toJson(), { eos_token: 5 } as never);
  const faults = await Promise.all(
    [1, 2].map(async (workers) => encodeAll({ workers, alone: 0 }, withoutEnd).catch((error: unknown) => error)),
  );
  expect(faults[0]).toBeInstanceOf(CheckpointError);
  expect(faults[1]).toBeInstanceOf(CheckpointError);
  expect((faults[1] as Error).message).toBe((faults[0] as Error).message);
});
