import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { diskParameters, hostTensors, writeModel } from "../src/loading/model-source.js";
import { TextGenerator } from "../src/programs/text-generator.js";
import { Rng } from "../src/tensor/random.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../src/tokenizers/train-tokenizer.js";
import { generateText } from "../src/verbs/generate.js";
import { loadTarget } from "../src/verbs/target.js";
import { BYTE_TOKENIZER, byteIds, parrot } from "./parrot-model.js";
import { runCommand, withFolder } from "./run-command.js";
import { TEXT, writeSmallModel } from "./small-model.js";

/** Writes the model that says this text, whatever it is asked. */
async function writeParrot(folder: string, said: string, files: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const { config, model } = parrot(Buffer.from(said));
  await writeModel(folder, {
    config,
    tensors: hostTensors(diskParameters(model)),
    files: new Map(
      Object.entries({ "tokenizer.json": BYTE_TOKENIZER.toJson(), ...files }).map(([name, content]) => [
        name,
        JSON.stringify(content),
      ]),
    ),
  });
}

const CHATML =
  "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

const GREEDY = ["--temperature", "0", "--max-new-tokens", "40"];

async function generate(cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(["generate", ...GREEDY, ...args], { cwd });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

describe("a text", () => {
  test("comes after its prompt, up to the end of text or a stop text", () =>
    withFolder({}, async (cwd) => {
      await writeParrot(path.join(cwd, "model"), "abc 🙂, def");
      expect(await generate(cwd, "model")).toBe("abc 🙂, def\n");
      expect(await generate(cwd, "model", "--prompt", "b")).toBe("bbc 🙂, def\n");
      expect(await generate(cwd, "model", "--stop", "none such", "--stop", ", d")).toBe("abc 🙂\n");
    }));

  test("with --json comes with its counts, times and reason to end", () =>
    withFolder({}, async (cwd) => {
      await writeParrot(path.join(cwd, "model"), "abc 🙂, def");
      const json = async (...args: string[]) => JSON.parse(await generate(cwd, "model", "--json", ...args));
      const times = { msPerPromptToken: expect.any(Number), msPerToken: expect.any(Number) };
      const context = { contextTokens: 14, contextRestarts: 0 };
      expect(await json("--prompt", "ab")).toEqual({
        ...{ prompt: "ab", text: "c 🙂, def", tokens: 11, promptTokens: 3, finish: "end-of-text" },
        ...{ ...times, ...context },
      });
      expect(await json("--stop", "🙂")).toMatchObject({ text: "abc ", tokens: 8, finish: "stop", ...times });
      expect(await json("--max-new-tokens", "1")).toMatchObject({ tokens: 1, finish: "length", msPerToken: null });
    }));

  test.each([
    [{ "generation_config.json": { eos_token_id: byteIds(Buffer.from(","))[0] } }, "abc "],
    [{ "generation_config.json": { eos_token_id: byteIds(Buffer.from("e,c")) } }, "ab"],
    [{ "generation_config.json": { eos_token_id: null } }, "abc , def"],
  ])("ends where %j says", (files, expected) =>
    withFolder({}, async (cwd) => {
      await writeParrot(path.join(cwd, "model"), "abc , def", files);
      expect(await generate(cwd, "model")).toBe(`${expected}\n`);
    }),
  );

  test("begins as the tokenizer's own template has it", () =>
    withFolder({}, async (cwd) => {
      const { tokens, promptTokens } = await withTemplate(path.join(cwd, "model"), ["b", "c"]);
      expect({ tokens, promptTokens }).toEqual({ tokens: 7, promptTokens: 3 });
    }));

  test("past the model's context goes on, and a note says so", () =>
    withFolder({}, async (cwd) => {
      await writeSmallModel(path.join(cwd, "model"), { seed: 3 });
      const args = ["generate", "model", "--prompt", "The cat", "--max-new-tokens", "60", "--seed", "4"];
      const { stdout, stderr } = await runCommand(args, { cwd });
      expect(stdout.startsWith("The cat")).toBe(true);
      expect(stderr).toMatch(
        /^note: the text outgrew the 32 tokens that the model sees, .* last half of them 2 times\n$/,
      );
    }));
});

/** A model under a tokenizer that puts these tokens before a text. */
async function withTemplate(folder: string, before: readonly string[]) {
  const json = {
    ...BYTE_TOKENIZER.toJson(),
    post_processor: {
      type: "TemplateProcessing",
      single: [...before.map((id) => ({ SpecialToken: { id, type_id: 0 } })), { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: Object.fromEntries(
        before.map((id) => [id, { id, ids: byteIds(Buffer.from(id)), tokens: [id] }] as const),
      ),
    },
  };
  await writeParrot(folder, "abc , def", { "tokenizer.json": json });
  const sampling = { temperature: 0, topK: null, topP: 1, seed: 0, maxNewTokens: 40 };
  return generateText(folder, { ...sampling, prompt: "x", base: null, adapter: true, device: "cpu", threads: 1 });
}

describe("a chat", () => {
  /** Writes a random model with a template, and answers messages rendered by hand with it. */
  async function withChat(use: (cwd: string, answer: (rendered: string) => Promise<string>) => Promise<void>) {
    await withFolder({}, async (cwd) => {
      const folder = path.join(cwd, "model");
      await writeSmallModel(folder, { seed: 5, maxSequenceLength: 256 });
      const config = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 256 }).config;
      await writeFile(path.join(folder, "tokenizer_config.json"), JSON.stringify({ ...config, chat_template: CHATML }));
      const { model } = await loadTarget(folder, { base: null, adapter: true });
      const tokenizer = await Tokenizer.fromFolder(folder);
      await use(cwd, async (rendered) => {
        const generator = new TextGenerator(model, tokenizer, { device: "cpu", threads: 1 });
        const options = { temperature: 0, topK: null, topP: 1, maxNewTokens: 12 };
        const { text } = await generator.continueTokens(tokenizer.encode(rendered), options, new Rng(0));
        await generator.release();
        return text;
      });
    });
  }

  const SHORT = ["--temperature", "0", "--max-new-tokens", "12"];

  test("answers a prompt by the template, with a message of the system", () =>
    withChat(async (cwd, answer) => {
      const expected = await answer("<|system|>Be brief.\n<|user|>The cat?\n<|assistant|>");
      expect(expected).not.toBe(await answer("<|user|>The cat?\n<|assistant|>"));
      const args = ["generate", "model", "--chat", "--system", "Be brief.", "--prompt", "The cat?", ...SHORT];
      expect((await runCommand(args, { cwd })).stdout).toBe(`${expected}\n`);
      const { stdout } = await runCommand([...args, "--json"], { cwd });
      expect(JSON.parse(stdout)).toMatchObject({ system: "Be brief.", prompt: "The cat?", text: expected, tokens: 12 });
    }));

  test("answers line after line, each with all before it", () =>
    withChat(async (cwd, answer) => {
      const first = "<|user|>The cat?\n<|assistant|>";
      const answers = [await answer(first)];
      answers.push(await answer(`${first}${answers[0]}\n<|user|>The mat?\n<|assistant|>`));
      const { code, stdout } = await runCommand(["generate", "model", "--chat", ...SHORT], {
        ...{ cwd, input: "The cat?\n\nThe mat?\n" },
      });
      expect(code).toBe(0);
      expect(stdout).toBe(answers.map((text) => `${text}\n`).join(""));
    }));

  test("is what a prompt gets from a tokenizer with a template, which is said; --no-chat continues the text", () =>
    withChat(async (cwd, answer) => {
      const { stdout, stderr } = await runCommand(["generate", "model", "--prompt", "The cat?", ...SHORT], { cwd });
      expect(stdout).toBe(`${await answer("<|user|>The cat?\n<|assistant|>")}\n`);
      expect(stderr).toBe(
        "note: answers as a chat, since the tokenizer has a chat template; --no-chat continues the text\n",
      );
      const plain = await runCommand(["generate", "model", "--no-chat", "--prompt", "The cat?", ...SHORT], { cwd });
      expect(plain.stdout).toMatch(/^The cat\?/);
      expect(plain.stderr).toBe("");
      // As the shell hands it over: no line break.
      const literal = ["generate", "model", "--no-chat", "--prompt", "a\\nb", ...SHORT];
      expect((await runCommand(literal, { cwd })).stderr).toContain(
        "note: the prompt has a backslash and an n; shells write a line break as in --prompt $'a\\nb'",
      );
    }));

  test("takes a template from a file", () =>
    withChat(async (cwd, answer) => {
      await writeFile(path.join(cwd, "other.jinja"), "{{ messages[-1].content }}=");
      const args = ["generate", "model", "--chat", "--chat-template", "other.jinja", "--prompt", "The cat", ...SHORT];
      expect((await runCommand(args, { cwd })).stdout).toBe(`${await answer("The cat=")}\n`);
    }));
});
