import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { type ChatMessage, ChatRenderer, type RenderedConversation } from "./chat-rendering.js";

interface GoldenCase {
  readonly template: string;
  readonly name: string;
  readonly messages: readonly ChatMessage[];
  readonly text: string;
  readonly prompt: string;
  readonly spans: readonly (readonly [number, number])[];
}

// Made by tests/peers/python/chats_golden.py with transformers.
const golden = JSON.parse(readFileSync(new URL("../../tests/golden/chat-turns.json", import.meta.url), "utf8")) as {
  tokens: Record<string, string>;
  cases: GoldenCase[];
};

function sourceOf(name: string): string {
  return readFileSync(new URL(`../../tests/data/turn-templates/${name}`, import.meta.url), "utf8");
}

/** The template as people write it, without generation tags. */
function withoutTags(source: string): string {
  return source.replace(/(\{%-?\s*)(end)?generation/g, (_, tag: string, end?: string) => {
    return tag + (end === undefined ? "if true" : "endif");
  });
}

/** The text with the scored parts in brackets. */
function shown(text: string, spans: RenderedConversation["assistantSpans"]): string {
  let [marked, from] = ["", 0];
  for (const [start, end] of spans) {
    if (start === end) continue;
    marked += `${text.slice(from, start)}⟦${text.slice(start, end)}⟧`;
    from = end;
  }
  return (marked + text.slice(from)).replaceAll("⟧⟦", "");
}

test.each(golden.cases)("$template renders $name like transformers", ({ template, messages, text, prompt, spans }) => {
  const renderer = new ChatRenderer(sourceOf(template), golden.tokens);
  const rendered = renderer.renderWithSpans({ messages });
  expect(shown(rendered.text, rendered.assistantSpans)).toBe(shown(text, spans));
  expect(renderer.render({ messages }, { addGenerationPrompt: true })).toBe(prompt);
});

test.each(golden.cases)(
  "without tags, $template has the same turns in $name",
  ({ template, messages, text, spans }) => {
    const rendered = new ChatRenderer(withoutTags(sourceOf(template)), golden.tokens).renderWithSpans({ messages });
    expect(shown(rendered.text, rendered.assistantSpans)).toBe(shown(text, spans));
    expect(rendered.isClosed).toBe(false);
    for (const index of rendered.spanMessages) expect(messages[index]!.role).toBe("assistant");
  },
);

test("the golden cases are of every template and conversation", () => {
  expect(golden.cases).toHaveLength(5 * 12 + 1);
});

const TURNS: ChatMessage[] = [
  { role: "user", content: "a" },
  { role: "assistant", content: "b" },
  { role: "user", content: "c" },
  { role: "assistant", content: "d" },
];

test.each([
  ["a line break behind the end of a turn", "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}"],
  [
    "tags in texts",
    "{% for m in messages %}{{ '{% for x in y %}'[:0] }}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}",
  ],
  ["a comment", "{# {% for x in y %} #}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}"],
  [
    "a raw block",
    "{% raw %}{% endraw %}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{%- raw %}{% endraw %}\n{% endfor %}",
  ],
  [
    "a loop over pairs",
    "{% for m in messages %}{% for k, v in m.items() if k == 'role' %}<{{ v }}>{% endfor %}{{ m.content }}</>\n{% endfor %}",
  ],
])("turns are found with %s in the template", (_, source) => {
  const prompt = "{% if add_generation_prompt %}<assistant>{% endif %}";
  const { text, assistantSpans } = new ChatRenderer(source + prompt, {}).renderWithSpans({ messages: TURNS });
  expect(shown(text, assistantSpans)).toMatch(
    /^<user>a<\/>\n?<assistant>⟦b<\/>\n?⟧<user>c<\/>\n?<assistant>⟦d<\/>\n?⟧$/,
  );
});

test("where a generation prompt opens the thoughts, they are the assistant's", () => {
  const source =
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}<think></think>{% endif %}{{ m.content }};" +
    "{% endfor %}{% if add_generation_prompt %}[assistant]<think>\n{% endif %}";
  const { text, assistantSpans } = new ChatRenderer(source, {}).renderWithSpans({ messages: TURNS });
  expect(shown(text, assistantSpans)).toBe(
    "[user]a;[assistant]⟦<think></think>b;⟧[user]c;[assistant]⟦<think></think>d;⟧",
  );
});

test("DeepSeek's and gpt-oss' generation prompts are scored with the turn, and GLM's turn ends with the next role", () => {
  const shownBy = (loop: string, prompt: string) => {
    const source = `${loop}{% if add_generation_prompt %}${prompt}{% endif %}`;
    const { text, assistantSpans } = new ChatRenderer(source, {}).renderWithSpans({ messages: TURNS });
    return shown(text, assistantSpans);
  };
  expect(
    shownBy(
      "{% for m in messages %}{{ '<｜User｜>' if m.role == 'user' else '<｜Assistant｜>' }}{{ m.content }}{% endfor %}",
      "<｜Assistant｜>",
    ),
  ).toBe("<｜User｜>a⟦<｜Assistant｜>b⟧<｜User｜>c⟦<｜Assistant｜>d⟧");
  expect(
    shownBy("{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}{% endfor %}", "<|start|>assistant"),
  ).toBe(
    "<|start|>user<|message|>a⟦<|start|>assistant<|message|>b⟧<|start|>user<|message|>c⟦<|start|>assistant<|message|>d⟧",
  );
  expect(
    shownBy("[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}", "<|assistant|>"),
  ).toBe("[gMASK]<sop><|user|>\na<|assistant|>⟦\nb<|user|>⟧\nc<|assistant|>⟦\nd<|user|>⟧");
});

test.each([
  ["are printed", "{% for m in messages %}{{ m.content }};{% endfor %}"],
  [
    "are printed as JSON",
    "{% for m in messages %}{{ m.content if m.content is string else m.content | tojson }};{% endfor %}",
  ],
  ["cannot be added to a text", "{% for m in messages %}{{ m.content + ';' }}{% endfor %}"],
  [
    "are taken one by one",
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}" +
      "{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %};{% endfor %}",
  ],
])("parts of a message that %s come out as their texts", (_, source) => {
  const parts = (...texts: string[]) => texts.map((text) => ({ type: "text", text }));
  const messages = [
    { role: "user", content: parts("a", "b") },
    { role: "assistant", content: parts("c") },
  ];
  const renderer = new ChatRenderer(source, {});
  expect(renderer.renderWithSpans({ messages }).text).toBe("ab;c;");
  expect(renderer.render({ messages }, { addGenerationPrompt: true })).toBe("ab;c;");
});

test.each([
  [{ type: "image" }, /message 1: has a part of type "image", and models are trained on text alone/],
  [{ type: "other" }, /message 1: the chat template takes no parts, so each part must be a text/],
])("a part that is no text is refused: %j", (part, message) => {
  const render = () =>
    new ChatRenderer("{% for m in messages %}{{ m.content }}{% endfor %}", {}).renderWithSpans({
      messages: [{ role: "user", content: [part] }],
    });
  expect(render).toThrow(DataError);
  expect(render).toThrow(message);
});

test("a record's template variables, documents and missing tools come to the template", () => {
  const source = "{{ mode }}{{ bos_token }}{{ documents[0].text }}{{ tools is none }}";
  const conversation = {
    messages: TURNS,
    documents: [{ text: "d" }],
    templateVariables: { mode: "m", bos_token: "b" },
  };
  const text = new ChatRenderer(source, { bos_token: "s" }).render(conversation, { addGenerationPrompt: false });
  expect(text).toBe("mbdTrue");
});

test("a rendering beyond the limit is refused by its length", () => {
  const render = () =>
    new ChatRenderer("{% for i in range(20000) %}{{ 'x' * 1000 }}{% endfor %}", {}).renderWithSpans({
      messages: TURNS,
    });
  expect(render).toThrow(DataError);
  expect(render).toThrow(/makes 20000000 characters of the conversation, the most is 16777216/);
});

test("replies of earlier versions end with the prefix that their template keeps", () => {
  const source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}";
  const { text, assistantSpans } = new ChatRenderer(source, {}).renderWithSpans({ messages: TURNS }, "reply");
  expect(shown(text, assistantSpans)).toBe("<user>a</>\n⟦<assistant>b</>\n⟧<user>c</>\n⟦<assistant>d</>\n⟧");
});
