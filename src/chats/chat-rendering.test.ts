import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { parsePythonJson } from "../python/json.js";
import { type ChatMessage, ChatRenderer, type Conversation } from "./chat-rendering.js";

interface GoldenCase {
  readonly template: string;
  readonly name: string;
  readonly messages: readonly ChatMessage[];
  readonly text?: string;
  readonly prompt?: string;
  readonly spans?: readonly (readonly [number, number])[];
  readonly refused?: string;
}

// Made by tests/data/chat_golden.py with Python's jinja2.
const golden = JSON.parse(readFileSync(new URL("../../tests/golden/chat-templates.json", import.meta.url), "utf8")) as {
  tokens: Record<string, string>;
  cases: GoldenCase[];
};

function rendererOf(name: string): ChatRenderer {
  const source = readFileSync(new URL(`../../tests/data/templates/${name}`, import.meta.url), "utf8");
  return new ChatRenderer(source, golden.tokens);
}

test.each(golden.cases)("$template renders $name like jinja2 and finds what the assistant wrote", (one) => {
  const renderer = rendererOf(one.template);
  const conversation = { messages: one.messages };
  if (one.refused !== undefined) {
    expect(() => renderer.renderWithSpans(conversation)).toThrow(DataError);
    expect(() => renderer.renderWithSpans(conversation)).toThrow(one.refused);
    return;
  }
  const { text, assistantSpans } = renderer.renderWithSpans(conversation);
  expect(text).toBe(one.text);
  expect(assistantSpans).toEqual(one.spans);
  expect(renderer.render(conversation, { addGenerationPrompt: true })).toBe(one.prompt);
});

// Made by tests/peers/python/chat_numbers_golden.py with transformers.
const numbers = JSON.parse(readFileSync(new URL("../../tests/golden/chat-numbers.json", import.meta.url), "utf8")) as {
  template: string;
  tokens: Record<string, string>;
  cases: { readonly record: string; readonly text: string }[];
};

test.each(numbers.cases)("numbers are printed as in transformers: $record", ({ record, text }) => {
  const renderer = new ChatRenderer(numbers.template, numbers.tokens);
  expect(renderer.render(parsePythonJson(record) as Conversation, { addGenerationPrompt: false })).toBe(text);
});

const TURNS = [
  { role: "user", content: "a" },
  { role: "assistant", content: "b" },
  { role: "user", content: "c" },
  { role: "assistant", content: "d" },
];

test.each([
  // Texts that are gathered before they are written do not say which message they come from.
  [
    "a turn that looks different later",
    "{% set all = namespace(text='') %}{% for m in messages %}" +
      "{% set all.text = all.text + m.content + ('.' if loop.last else '') %}{% endfor %}{{ all.text }}",
  ],
  [
    "a turn that cannot be rendered alone",
    "{% if messages|length < 3 %}{{ raise_exception('too short') }}{% endif %}" +
      "{{ messages[0].content + messages[1].content + messages[2].content + messages[3].content }}",
  ],
])("%s is an error that names the ways out", (_, source) => {
  const render = () => new ChatRenderer(source, {}).renderWithSpans({ messages: TURNS });
  expect(render).toThrow(DataError);
  expect(render).toThrow(/\{% generation %\}.*trainOnInputs/);
});

test("generation tags that do not come in pairs are refused", () => {
  const make = () => new ChatRenderer("{% for m in messages %}{% generation %}{{ m.content }}{% endfor %}", {});
  expect(make).toThrow(/not valid Jinja: line 1: .*'endgeneration'/);
});

test("invalid templates, and failures in valid ones, are DataErrors", () => {
  expect(() => new ChatRenderer("{% for %}", {})).toThrow(DataError);
  const failing = new ChatRenderer("{{ messages[0].content.nothing.at.all() }}", {});
  expect(() => failing.render({ messages: TURNS }, { addGenerationPrompt: false })).toThrow(/the chat template says/);
});

test("templates cannot write the date", () => {
  const render = (source: string) =>
    new ChatRenderer(source, {}).render({ messages: TURNS }, { addGenerationPrompt: false });
  expect(render("{{ 'known' if strftime_now is defined else 'unknown' }}")).toBe("unknown");
  expect(() => render("{{ strftime_now('%Y') }}")).toThrow(/strftime_now .* write the date itself into the template/);
});
