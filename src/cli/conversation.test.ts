import { mkdir, readFile, writeFile } from "node:fs/promises";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { withFolder } from "../../tests/run-command.js";
import { DeviceError } from "../base/errors.js";
import type { WritingOptions } from "../programs/text-generator.js";
import type { Writer } from "../verbs/generate.js";
import { Context } from "./context.js";
import { converse } from "./conversation.js";

const CTRL_C = "\u0003";

let isTTY: PropertyDescriptor | undefined;
beforeEach(() => {
  isTTY = Object.getOwnPropertyDescriptor(process.stdout, "isTTY");
  Object.defineProperty(process.stdout, "isTTY", { value: true, configurable: true });
});
afterEach(() => {
  vi.restoreAllMocks();
  if (isTTY === undefined) Reflect.deleteProperty(process.stdout, "isTTY");
  else Object.defineProperty(process.stdout, "isTTY", isTTY);
});

/** Types lines at a terminal, each at its prompt. Gives what stands on standard error. */
async function chat(
  typed: readonly string[],
  answer: (asked: string, options: WritingOptions, press: (key: string) => void) => void,
): Promise<string> {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const left = [...typed];
  let told = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    if (String(text).includes("> ")) setImmediate(() => stdin.write(`${left.shift() ?? "/exit"}\n`));
    return true;
  });
  const stderr = {
    write: (text: string) => {
      told += text;
      return true;
    },
  };
  const context = new Context({ stdin, stdout: { write: () => true }, stderr, env: {} }, { json: false });
  const writer = {
    requireTemplate() {},
    async answer(asked: readonly { readonly content: string }[], options: WritingOptions) {
      answer(asked.at(-1)!.content, options, (key) => stdin.write(key));
      await new Promise(setImmediate);
      options.signal?.throwIfAborted();
      return { contextTokens: 8, contextRestarts: 0 };
    },
  };
  const options: WritingOptions = { maxNewTokens: 8, temperature: 0, topK: null, topP: 1, seed: 0 };
  await converse(writer as unknown as Writer, [], options, context);
  expect(left).toEqual([]);
  return told;
}

const echo = (asked: string, { onText }: WritingOptions): void => onText?.(asked.toUpperCase());

test("at a terminal no error ends a chat: what was said can be saved elsewhere", () =>
  withFolder({ "file.txt": "" }, async (folder) => {
    await mkdir(`${folder}/folder.jsonl`);
    const typed = [
      ...["/save early.jsonl", "hi", "/bogus", "/save", "/save a.txt", "break"],
      ...[`/save ${folder}/none/a.jsonl`, `/save ${folder}/folder.jsonl`, `/save ${folder}/file.txt/a.jsonl`],
      `/save ${folder}/a.jsonl`,
    ];
    const told = await chat(typed, (asked, options) => {
      if (asked === "break") throw new DeviceError("the device is gone");
      echo(asked, options);
    });
    const errors = told.split("\n").filter((line) => line.startsWith("error: "));
    expect(errors).toEqual([
      "error: /save: there is no answer yet; ask something first",
      "error: /bogus: there is no such command; /help lists what there is",
      'error: /save: name a file that ends in .jsonl, got ""',
      'error: /save: name a file that ends in .jsonl, got "a.txt"',
      "error: the device is gone",
      `error: cannot write ${folder}/none/a.jsonl: there is no such file or folder; check the path`,
      `error: cannot write ${folder}/folder.jsonl: it is a folder where a file must be; name a file`,
      expect.stringContaining("a part of the path is a file where a folder must be"),
    ]);
    const { messages } = JSON.parse(await readFile(`${folder}/a.jsonl`, "utf8"));
    expect(messages).toEqual([
      { role: "user", content: "hi" },
      { role: "assistant", content: "HI" },
    ]);
  }));

test("a conversation is a line of its own, also in a file whose last line has no break", () =>
  withFolder({}, async (folder) => {
    const file = `${folder}/mine.jsonl`;
    await writeFile(file, '{"mine": 1}');
    await chat(["hi", `/save ${file}`, `/save ${file}`], echo);
    const lines = (await readFile(file, "utf8")).split("\n");
    expect(lines.map((line) => (line === "" ? "" : Object.keys(JSON.parse(line))[0]))).toEqual([
      ...["mine", "messages", "messages", ""],
    ]);
  }));

test("a turn whose answer is stopped before its first word is no part of a conversation; one stopped later is", () =>
  withFolder({}, async (folder) => {
    await chat(["one", "two", "three", `/save ${folder}/a.jsonl`], (asked, options, press) => {
      if (asked !== "two") echo(asked, options);
      if (asked !== "one") press(CTRL_C);
    });
    const { messages } = JSON.parse(await readFile(`${folder}/a.jsonl`, "utf8"));
    expect(messages.map(({ content }: { content: string }) => content)).toEqual(["one", "ONE", "three", "THREE"]);
  }));
