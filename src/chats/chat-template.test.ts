import { expect, test } from "vitest";
import { withFolder } from "../../tests/run-command.js";
import { trainBytePairEncoding } from "../tokenizers/bpe-trainer.js";
import { modelTokenizer } from "../tokenizers/model-tokenizer.js";
import { templatesBeside } from "../tokenizers/stored-templates.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { ChatTemplate, today } from "./chat-template.js";

const USUAL = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
const TOOL_USE = `{{ tools | length }} tools: ${USUAL}`;
const MESSAGES = [
  { role: "user", content: "a" },
  { role: "assistant", content: "b" },
];
const NAMED = [
  { name: "default", template: USUAL },
  { name: "tool_use", template: TOOL_USE },
  { name: "rag", template: "{{ documents[0].text }}" },
];

const json = trainBytePairEncoding(["a b"], { vocabSize: 258, specialTokens: ["<|endoftext|>"] });

/** Texts of conversations with and without tools. */
async function texts(config: object): Promise<string[]> {
  const template = ChatTemplate.of({ config })!;
  const conversations = [{ messages: MESSAGES, tools: [{ name: "f" }] }, { messages: MESSAGES }];
  const answers = await template.renderAll([...conversations, ...conversations], "plain");
  return answers.slice(0, 2).map((answer, index) => {
    expect(answers[index + 2]).toEqual(answer);
    return "text" in answer ? answer.text : answer.fault;
  });
}

test.each([
  ["a list", NAMED],
  ["an object", Object.fromEntries(NAMED.map(({ name, template }) => [name, template]))],
])("tool_use renders conversations with tools, from %s of templates", async (_, chat_template) => {
  expect(await texts({ chat_template })).toEqual(["1 tools: [user]a[assistant]b", "[user]a[assistant]b"]);
});

test("one template renders all conversations", async () => {
  expect(await texts({ chat_template: USUAL })).toEqual(["[user]a[assistant]b", "[user]a[assistant]b"]);
  expect(await texts({ chat_template: [{ name: "mine", template: USUAL }] })).toEqual([
    "[user]a[assistant]b",
    "[user]a[assistant]b",
  ]);
});

test.each([
  ["tool_use alone", [NAMED[1]], /has no template named "default" among \["tool_use"\]/],
  ["a number", 3, /must be a text or texts by name, got 3/],
  ["a list of texts", ["x"], /must be a text or texts by name/],
])("%s is no template of a tokenizer", (_, chat_template, message) => {
  expect(() => ChatTemplate.of({ config: { chat_template } })).toThrow(message);
});

test("the special tokens are those that transformers names", async () => {
  const template = "{{ bos_token }}{{ cls_token }}{{ mask_token }}{{ image_token is defined }}";
  const config = {
    chat_template: template,
    bos_token: "<s>",
    cls_token: { content: "<c>" },
    mask_token: null,
    image_token: "<i>",
  };
  expect((await texts(config))[0]).toBe("<s><c>False");
});

test("a template is told the day; without one it has no date", async () => {
  const template = new ChatTemplate("{{ strftime_now('%d %b %Y') if strftime_now is defined else 'no date' }}", {});
  const shown = async (date?: string | null) => (await template.renderAll([{ messages: MESSAGES }], "plain", date))[0];
  expect(await shown("2026-03-31")).toMatchObject({ text: "31 Mar 2026" });
  expect(await shown(null)).toMatchObject({ text: "no date" });
  expect(await shown()).toMatchObject({ text: expect.stringContaining(today().slice(0, 4)) });
  expect([template.readsDate, new ChatTemplate(USUAL, {}).readsDate]).toEqual([true, false]);
});

test("files beside a tokenizer override its config, and each has a name", async () => {
  const files = {
    "tokenizer.json": JSON.stringify(json),
    "tokenizer_config.json": JSON.stringify({ chat_template: "old" }),
    "chat_template.jinja": USUAL,
    "other.jinja": "{{ 'other' }}",
    "additional_chat_templates/tool_use.jinja": TOOL_USE,
    "additional_chat_templates/README.md": "no template",
  };
  await withFolder(files, async (folder) => {
    expect(await templatesBeside(folder)).toEqual(NAMED.slice(0, 2));
    const own = async (name: string | null) =>
      texts((await modelTokenizer({ read: () => Tokenizer.fromFolder(folder), addSpecialTokens: true }, name)).config);
    expect(await own(null)).toEqual(["1 tools: [user]a[assistant]b", "[user]a[assistant]b"]);
    expect(await own("default")).toEqual(["[user]a[assistant]b", "[user]a[assistant]b"]);
    expect(await own(`${folder}/other.jinja`)).toEqual(["other", "other"]);
    await expect(own("tools")).rejects.toThrow(
      /no file tools, the tokenizer's templates are \["default","tool_use"\], and the built-in ones chatml/,
    );
  });
});

test("a tokenizer keeps its templates", () => {
  const tokenizer = Tokenizer.fromJson(json, { chat_template: NAMED });
  expect(tokenizer.config.chat_template).toBe(NAMED);
  expect(tokenizer.withChatTemplate(USUAL).config.chat_template).toBe(USUAL);
});
