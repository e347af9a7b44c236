import { beforeEach, expect, test, vi } from "vitest";
import { openLimited } from "#platform";
import { BYTE_TOKENIZER, parrot } from "../../../tests/parrot-model.js";
import { DataError } from "../../base/errors.js";
import { Writer } from "../generate.js";
import type { FromEngine, Question } from "./messages.js";
import { Scheduler } from "./scheduler.js";

/** Limit of a rendering here. */
let seconds = 10;

vi.mock("#platform", async (importOriginal) => {
  const platform = await importOriginal<typeof import("#platform")>();
  const open: typeof platform.openLimited = (module, limits) => platform.openLimited(module, { ...limits, seconds });
  return { ...platform, openLimited: vi.fn(open) };
});
beforeEach(() => void vi.mocked(openLimited).mockClear());

/** Does not come to an end where somebody says `endless`. */
const TEMPLATE =
  "{% if messages[0].content == 'endless' %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}" +
  "{% endfor %}{% endif %}{{ messages[0].content }}";
const WRITING = { maxNewTokens: 3, temperature: 0, topK: null, topP: 1, seed: 0 };
const said = (content: string) => ({ messages: [{ role: "user", content }] });
const question = (prompt: Question["prompt"]): Question => {
  return { ...WRITING, model: "parrot", prompt, stop: [], likeliest: null };
};

async function withWriter(use: (writer: Writer) => Promise<void>): Promise<void> {
  const { model } = parrot(Buffer.from("abcdefghijklmnopqrstuvwxyz"));
  const tokenizer = BYTE_TOKENIZER.withChatTemplate(TEMPLATE);
  const source = { read: async () => tokenizer, addSpecialTokens: true };
  const loaded = { model, folder: "/none", tokenizer: source, weights: null, trainedLength: null };
  const writer = await Writer.of("parrot", loaded, tokenizer, { device: "cpu", threads: 1 });
  await use(writer).finally(() => writer.release());
}

/** Asks all of these in their order. → what was answered or refused, in the order of that. */
async function outcomes(writer: Writer, questions: readonly Question[]): Promise<FromEngine[]> {
  const heard: FromEngine[] = [];
  const scheduler: Scheduler = new Scheduler(new Map([["parrot", writer]]), {
    ...{ parallel: 1, contextTokens: 26 },
    post: (message) => {
      if (message.kind !== "ended" && message.kind !== "refused") return;
      heard.push(message);
      if (heard.length === questions.length) scheduler.close();
    },
  });
  for (const [id, asked] of questions.entries()) scheduler.ask(id, asked);
  await scheduler.run();
  return heard;
}

test("a template without an end holds up neither texts nor other chats, and is run once", () =>
  withWriter(async (writer) => {
    seconds = 4;
    const [endless, chat] = [question(said("endless")), question(said("ab"))];
    expect(await outcomes(writer, [endless, question("a"), chat])).toMatchObject([
      { kind: "ended", id: 1 },
      { kind: "ended", id: 2 },
      { kind: "refused", id: 0, refusal: { status: 400, message: expect.stringContaining("not finish within 4 s") } },
    ]);
    expect(openLimited).toHaveBeenCalledTimes(2);
  }));

test("several such chats are refused after one rendering each", () =>
  withWriter(async (writer) => {
    seconds = 1;
    const endless = question(said("endless"));
    const heard = await outcomes(writer, [endless, endless, endless, question("a")]);
    expect(heard.map(({ kind }) => kind)).toEqual(["ended", "refused", "refused", "refused"]);
    expect(openLimited).toHaveBeenCalledTimes(3);
  }));

test("what generate and chat render is stopped once as well", () =>
  withWriter(async (writer) => {
    seconds = 1;
    const stopped = "the chat template was stopped at conversation 1: it did not finish within 1 s; name another with";
    await expect(writer.answer(said("endless").messages, WRITING)).rejects.toThrow(DataError);
    expect(openLimited).toHaveBeenCalledTimes(1);
    await expect(writer.render([said("endless"), said("ab")], String)).rejects.toThrow(stopped);
    expect(openLimited).toHaveBeenCalledTimes(2);
  }));
