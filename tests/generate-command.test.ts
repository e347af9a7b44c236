import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { diskParameters, hostTensors, writeModel } from "../src/loading/model-source.js";
import { TextGenerator } from "../src/programs/text-generator.js";
import { Rng } from "../src/tensor/random.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../src/tokenizers/train-tokenizer.js";
import { answerData } from "../src/verbs/answer-data.js";
import { generateText, Writer } from "../src/verbs/generate.js";
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

const GREEDY = ["--temperature", "0"];

/** At most 40 tokens, unless the arguments say otherwise. */
async function generate(cwd: string, ...args: string[]): Promise<string> {
  const length = args.includes("--max-new-tokens") ? [] : ["--max-new-tokens", "40"];
  const { code, stdout, stderr } = await runCommand(["generate", ...GREEDY, ...length, ...args], { cwd });
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

  test("says which settings of generation_config.json are not applied", () =>
    withFolder({}, async (cwd) => {
      const config = { repetition_penalty: 1.3, num_beams: 1, temperature: 0.6, suppress_tokens: [], eos_token_id: 0 };
      await writeParrot(path.join(cwd, "model"), "abc", { "generation_config.json": config });
      const { stderr } = await runCommand(["generate", "model", ...GREEDY], { cwd });
      expect(stderr).toContain("asks for what is not done here, and is ignored: repetition_penalty 1.3.");
      expect(stderr).not.toContain("temperature");
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

describe("a file of prompts", () => {
  const ALONE = { temperature: 0, topK: null, topP: 1, seed: 0, maxNewTokens: 12 };
  const ANSWERING = ["--out", "out/answers.jsonl", "--temperature", "0", "--max-new-tokens", "12"];

  /** Writes a random model, with a template if it has one, and gives what it answers to a single prompt. */
  async function withModel(
    files: Readonly<Record<string, string>>,
    template: string | null,
    use: (cwd: string, writer: Writer) => Promise<void>,
  ): Promise<void> {
    await withFolder(files, async (cwd) => {
      const folder = path.join(cwd, "model");
      await writeSmallModel(folder, { seed: 5, maxSequenceLength: 128 });
      const config = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 128 }).config;
      const all = { ...config, ...(template !== null && { chat_template: template }) };
      await writeFile(path.join(folder, "tokenizer_config.json"), JSON.stringify(all));
      const writer = await Writer.open(folder, { base: null, adapter: true, device: "cpu", threads: 1 });
      await use(cwd, writer);
      await writer.release();
    });
  }

  const linesOf = async (file: string): Promise<unknown[]> =>
    (await readFile(file, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));

  const PROMPTS = ["The cat", "A", "The dog sat on the mat and", "One more", "The end of"];
  const PLAIN = PROMPTS.map((prompt) => `${JSON.stringify({ prompt })}\n`).join("");

  test("is answered line by line, each as it would be alone", () =>
    withModel({ "prompts.jsonl": PLAIN }, null, async (cwd, writer) => {
      const args = ["generate", "model", "--data", "prompts.jsonl", ...ANSWERING, "--batch-size", "2"];
      const { code, stdout, stderr } = await runCommand(args, { cwd });
      expect({ code, stderr }).toEqual({
        ...{ code: 0, stderr: "note: 5 of the answers were cut at 12 tokens (--max-new-tokens)\n" },
      });
      expect(stdout).toMatch(/^5 of 5 prompts answered in \d+s, 60 tokens \(\S+ a second\): out\/answers\.jsonl\n$/);
      const expected = [];
      for (const prompt of PROMPTS) {
        expected.push({ prompt, completion: (await writer.continue(prompt, ALONE)).text, finish: "length" });
      }
      expect(await linesOf(path.join(cwd, "out/answers.jsonl"))).toEqual(expected);
      expect(await readdir(path.join(cwd, "out"))).toEqual(["answers.jsonl"]);
      const again = await runCommand(args, { cwd });
      expect(again.code).toBe(2);
      expect(again.stderr).toContain("--out: out/answers.jsonl exists; name a new file, or remove it");
    }));

  test("is not written by two at once, and not over an end that came first", () =>
    withModel({ "prompts.jsonl": PLAIN }, null, async (cwd) => {
      const args = ["generate", "model", "--data", "prompts.jsonl", ...ANSWERING];
      const ends = await Promise.all([runCommand(args, { cwd }), runCommand(args, { cwd })]);
      const [refused, ...others] = ends.filter(({ code }) => code !== 0);
      expect(others).toEqual([]);
      expect(refused!.stderr).toMatch(/^error: (--out: )?out\/answers\.jsonl (is in use by|exists;)/);
      expect(await linesOf(path.join(cwd, "out/answers.jsonl"))).toHaveLength(PROMPTS.length);
      expect(await readdir(path.join(cwd, "out"))).toEqual(["answers.jsonl"]);
    }));

  const user = (content: string) => ({ role: "user", content });
  const assistant = (content: string) => ({ role: "assistant", content });

  test("of messages gets the next turn of the assistant in place of the last", () => {
    const turns = [user("The cat?"), assistant("Sat."), user("The mat?")];
    const rows = [{ messages: [...turns, assistant("Old.")] }, { messages: turns.slice(0, 1) }, { messages: turns }];
    const files = { "chats.jsonl": rows.map((row) => `${JSON.stringify(row)}\n`).join("") };
    return withModel(files, CHATML, async (cwd, writer) => {
      const { code, stdout } = await runCommand(
        ["generate", "model", "--data", "chats.jsonl", ...ANSWERING, "--system", "Be brief.", "--json"],
        { cwd },
      );
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        ...{ outcome: "done", file: "out/answers.jsonl", answered: 3, prompts: 3, tokens: 36, cut: 3, restarted: 0 },
      });
      const expected = [];
      for (const asked of [turns, turns.slice(0, 1), turns]) {
        const messages = [{ role: "system", content: "Be brief." }, ...asked];
        const { text } = await writer.answer(messages, ALONE);
        expected.push({ messages: [...messages, assistant(text)], finish: "length" });
      }
      expect(await linesOf(path.join(cwd, "out/answers.jsonl"))).toEqual(expected);
    });
  });

  test("of messages keeps all that the template saw, with the numbers and keys of Python's JSON", () => {
    const seen =
      '"tools":[{"f":{"b":20.0,"2":-0.0,"1":9007199254740993,"c":10000000000000000.0}}],' +
      '"chat_template_kwargs":{"enable_thinking":false,"limit":1.0,"documents":[{"text":"A"}]}';
    const rows = `{"messages":[{"role":"user","content":"The cat?"}],${seen}}\n`;
    return withModel({ "chats.jsonl": rows }, CHATML, async (cwd, writer) => {
      await runCommand(["generate", "model", "--data", "chats.jsonl", ...ANSWERING], { cwd });
      const { text } = await writer.answer([user("The cat?")], ALONE);
      const messages = JSON.stringify([user("The cat?"), assistant(text)]);
      const written = await readFile(path.join(cwd, "out/answers.jsonl"), "utf8");
      expect(written).toBe(`{"messages":${messages},${seen},"finish":"length"}\n`);
    });
  });

  test("of texts is asked in a chat with --chat, and a table's column by its role", () =>
    withModel({ "table.csv": "id,asks\n1,The cat?\n2,The mat?\n" }, CHATML, async (cwd, writer) => {
      const columns = ["--data", "table.csv", "--columns", "text=asks"];
      await runCommand(["generate", "model", ...columns, ...ANSWERING, "--chat"], { cwd });
      const chats = await linesOf(path.join(cwd, "out/answers.jsonl"));
      const [, , ...others] = ANSWERING;
      await runCommand(["generate", "model", ...columns, "--out", "texts.jsonl", ...others], { cwd });
      const texts = await linesOf(path.join(cwd, "texts.jsonl"));
      for (const [i, asked] of ["The cat?", "The mat?"].entries()) {
        const { text } = await writer.answer([user(asked)], ALONE);
        expect(chats[i]).toEqual({ messages: [user(asked), assistant(text)], finish: "length" });
        const { text: completion } = await writer.continue(asked, ALONE);
        expect(texts[i]).toEqual({ prompt: asked, completion, finish: "length" });
      }
    }));

  test("gets the same samples whatever the number of prompts at once, and others with another seed", () =>
    withModel({ "prompts.jsonl": PLAIN }, null, async (cwd) => {
      const answers = async (batchSize: number, seed: number): Promise<string> => {
        const out = path.join(cwd, `${batchSize}-${seed}.jsonl`);
        const options = { ...ALONE, temperature: 1, batchSize, seed, data: path.join(cwd, "prompts.jsonl"), out };
        const machine = { base: null, adapter: true, device: "cpu", threads: 1 } as const;
        await answerData(path.join(cwd, "model"), { ...options, ...machine });
        return readFile(out, "utf8");
      };
      const three = await answers(3, 1);
      expect(await answers(1, 1)).toBe(three);
      expect(await answers(5, 1)).toBe(three);
      expect(await answers(3, 2)).not.toBe(three);
    }));

  test("that is stopped keeps the answers under another name", () =>
    withModel({ "prompts.jsonl": PLAIN }, null, async (cwd) => {
      const control = new AbortController();
      const out = path.join(cwd, "answers.jsonl");
      const stopped = await answerData(path.join(cwd, "model"), {
        ...{ ...ALONE, base: null, adapter: true, device: "cpu", threads: 1 },
        ...{ data: path.join(cwd, "prompts.jsonl"), out, batchSize: 2, signal: control.signal },
        onProgress: ({ answered }) => {
          if (answered === 3) control.abort();
        },
      });
      expect(stopped).toMatchObject({ outcome: "stopped", file: `${out}.partial`, prompts: 5 });
      const lines = await linesOf(`${out}.partial`);
      expect(lines.length).toBe(stopped.answered);
      expect(lines.length).toBeLessThan(5);
      expect(lines).toMatchObject(PROMPTS.slice(0, lines.length).map((prompt) => ({ prompt })));
      expect(await readdir(cwd)).not.toContain("answers.jsonl");
    }));

  test("takes the place of what an earlier call left, and of nothing else", () =>
    withModel({ "prompts.jsonl": PLAIN, "a.jsonl.partial": "mine\n" }, null, async (cwd) => {
      const partial = path.join(cwd, "a.jsonl.partial");
      const answering = () =>
        answerData(path.join(cwd, "model"), {
          ...{ ...ALONE, base: null, adapter: true, device: "cpu", threads: 1 },
          ...{ data: path.join(cwd, "prompts.jsonl"), out: path.join(cwd, "a.jsonl"), batchSize: 5 },
        });
      const refused = { name: "ConfigError", message: expect.stringContaining("a.jsonl.partial, where the answers") };
      await expect(answering()).rejects.toMatchObject(refused);
      expect(await readFile(partial, "utf8")).toBe("mine\n");
      await rm(partial);
      await mkdir(partial);
      await expect(answering()).rejects.toMatchObject(refused);
      await rm(partial, { recursive: true });
      await writeFile(partial, '{"prompt":"a","completion":"b","finish":"stop"}\n{"promp');
      expect((await answering()).outcome).toBe("done");
      expect(await readdir(cwd)).not.toContain("a.jsonl.partial");
    }));

  test.each([
    [["--out", "a.jsonl"], "--out goes with --data"],
    [["--batch-size", "2", "--prompt", "x"], "--batch-size goes with --data"],
    [["--data", "chats.jsonl", "--out", "a.jsonl", "--no-chat"], "chats.jsonl, line 1: has messages"],
    [["--data", "rows.jsonl", "--out", "a.jsonl"], 'rows.jsonl, line 1: has "input_ids" and no prompt'],
  ])("%j is refused", (args, message) => {
    const chats = `${JSON.stringify({ messages: [user("x")] })}\n`;
    const files = { "prompts.jsonl": PLAIN, "chats.jsonl": chats, "rows.jsonl": '{"input_ids": [1, 2, 3]}\n' };
    return withModel(files, CHATML, async (cwd) => {
      const { code, stderr } = await runCommand(["generate", "model", ...args], { cwd });
      expect(stderr).toContain(message);
      expect([2, 3]).toContain(code);
      expect(await readdir(cwd)).not.toContain("a.jsonl");
    });
  });
});
