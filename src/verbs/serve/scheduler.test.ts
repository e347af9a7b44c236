import { afterAll, beforeAll, expect, test } from "vitest";
import { BYTE_TOKENIZER, parrot } from "../../../tests/parrot-model.js";
import { liveSessionCount } from "../../runtime/session.js";
import { Writer } from "../generate.js";
import type { FromEngine, Question } from "./messages.js";
import { Scheduler } from "./scheduler.js";

const SAID = "abcdefghijklmnopqrstuvwxyz".repeat(4);
const QUESTION: Question = {
  ...{ model: "parrot", prompt: "a", maxNewTokens: null, temperature: 0, topK: null, topP: 1, seed: 0 },
  ...{ stop: [], likeliest: null },
};

let writer: Writer;
beforeAll(async () => {
  const { model } = parrot(Buffer.from(SAID));
  const source = { read: async () => BYTE_TOKENIZER, addSpecialTokens: true };
  const loaded = { model, folder: "/none", tokenizer: source, weights: null, trainedLength: null };
  writer = await Writer.of("parrot", loaded, BYTE_TOKENIZER, { device: "cpu", threads: 1 });
});
afterAll(() => writer.release());

type Heard = (message: FromEngine, scheduler: Scheduler) => void;

/** Runs a scheduler until `onMessage` closes it. → all that it told. */
async function run(parallel: number, begin: (scheduler: Scheduler) => void, onMessage: Heard): Promise<FromEngine[]> {
  const messages: FromEngine[] = [];
  const scheduler: Scheduler = new Scheduler(new Map([["parrot", writer]]), {
    ...{ parallel, contextTokens: 90 },
    post: (message) => {
      messages.push(message);
      onMessage(message, scheduler);
    },
  });
  begin(scheduler);
  await scheduler.run();
  return messages;
}

const idOf = (message: FromEngine): number => ("id" in message ? message.id : -1);
const textOf = (messages: readonly FromEngine[], id: number): string =>
  messages.map((message) => (message.kind === "piece" && message.id === id ? message.piece.text : "")).join("");

test("questions are answered side by side, those beyond the number at once in their order", async () => {
  let ended = 0;
  const messages = await run(
    2,
    (scheduler) => {
      for (let id = 0; id < 4; id++) scheduler.ask(id, { ...QUESTION, maxNewTokens: 5 + 10 * id });
    },
    ({ kind }, scheduler) => {
      if (kind === "ended" && ++ended === 4) scheduler.close();
    },
  );
  for (let id = 0; id < 4; id++) expect(textOf(messages, id)).toBe(SAID.slice(1, 6 + 10 * id));
  const begun = messages.filter(({ kind }) => kind === "begun").map(idOf);
  expect(begun).toEqual([0, 1, 2, 3]);
  const at = (kind: string, id: number): number =>
    messages.findIndex((message) => message.kind === kind && idOf(message) === id);
  expect(at("begun", 2)).toBeGreaterThan(at("ended", 0));
  expect(at("begun", 2)).toBeLessThan(at("ended", 1));
  expect(liveSessionCount()).toBe(0);
});

test("a question that is left writes no more, and its row is another's", async () => {
  const messages = await run(
    1,
    (scheduler) => {
      scheduler.ask(0, QUESTION);
      scheduler.ask(1, { ...QUESTION, maxNewTokens: 3 });
    },
    (message, scheduler) => {
      if (message.kind === "piece" && message.id === 0 && message.piece.text.includes("f")) scheduler.leave(0);
      if (message.kind === "ended") scheduler.close();
    },
  );
  expect(textOf(messages, 0)).toBe("bcdef");
  expect(messages.filter(({ kind }) => kind === "ended").map(idOf)).toEqual([1]);
});

test("when time is up an answer ends as it is, and a question that waits is refused", async () => {
  const messages = await run(
    1,
    (scheduler) => {
      scheduler.ask(0, QUESTION);
      scheduler.ask(1, QUESTION);
    },
    (message, scheduler) => {
      if (message.kind === "piece" && message.piece.text.includes("d")) {
        scheduler.cut(1);
        scheduler.cut(0);
        scheduler.close();
      }
    },
  );
  expect(messages.slice(-2)).toEqual([
    { kind: "refused", id: 1, refusal: expect.objectContaining({ status: 503, code: "timeout" }) },
    { kind: "ended", id: 0, ending: { tokens: 3, promptTokens: 2, finish: "length" } },
  ]);
});

test("prompts that do not fit, tokens that there are not, and chats without a template are refused", async () => {
  let refused = 0;
  const messages = await run(
    2,
    (scheduler) => {
      scheduler.ask(0, { ...QUESTION, prompt: "x".repeat(90) });
      scheduler.ask(1, { ...QUESTION, prompt: [999] });
      scheduler.ask(2, { ...QUESTION, prompt: { messages: [{ role: "user", content: "x" }] } });
    },
    ({ kind }, scheduler) => {
      if (kind === "refused" && ++refused === 3) scheduler.close();
    },
  );
  const codes = messages.map((message) => message.kind === "refused" && [message.id, message.refusal.code]).sort();
  expect(codes).toEqual([
    [0, "context_length_exceeded"],
    [1, "invalid_value"],
    [2, "no_chat_template"],
  ]);
});
