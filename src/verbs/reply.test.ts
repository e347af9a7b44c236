import { expect, test } from "vitest";
import type { Generation } from "../programs/text-generator.js";
import { Reply } from "./reply.js";

const failing = (): Promise<Generation> => Promise.reject(new RangeError("no text"));

/** Errors that nobody heard of while `use` ran, which would end the process. */
async function unheardOf(use: () => Promise<void>): Promise<unknown[]> {
  const unheard: unknown[] = [];
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (error) => unheard.push(error));
  try {
    await use();
    await new Promise((resolve) => setTimeout(resolve, 20));
  } finally {
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
  }
  return unheard;
}

test.each<[string, (reply: Reply) => Promise<unknown>]>([
  ["the text", async (reply) => reply],
  ["the generation", (reply) => reply.generation],
  [
    "the pieces",
    async (reply) => {
      for await (const _ of reply);
    },
  ],
])("an error is thrown to who waits for %s, and is heard of nowhere else", async (_, wait) => {
  const unheard = await unheardOf(async () => {
    await expect(wait(new Reply(failing))).rejects.toThrow("no text");
  });
  expect(unheard).toEqual([]);
});

test("an error that nobody waits for is heard of", async () => {
  expect(await unheardOf(async () => void new Reply(failing))).toHaveLength(1);
});
