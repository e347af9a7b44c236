import { expect, test } from "vitest";
import { frontMatter } from "../data/front-matter.js";
import { changedCard, isOwnCard } from "../files/own-card.js";
import { type CardFacts, cardNamed, modelCard, statedIn } from "./model-card.js";

const FACTS: CardFacts = {
  title: "tiny, lora",
  form: { kind: "adapter", hasTokenizer: true, isChat: false },
  base: { name: "org/tiny", isOfHub: true, revision: "0123" },
  relation: "adapter",
  summary: "An adapter.",
  license: { license: "mit" },
  datasets: ["org/data"],
  languages: [],
  tags: ["lora"],
  training: [["method", "LoRA | of <rank> 2"]],
  losses: [["before", "2.0000"]],
};

test("the front matter is what the hub reads of an adapter on a model of the hub", () => {
  expect(frontMatter(modelCard(FACTS))).toEqual({
    base_model: "org/tiny",
    base_model_relation: "adapter",
    library_name: "peft",
    license: "mit",
    datasets: ["org/data"],
    pipeline_tag: "text-generation",
    tags: ["highrank", "lora"],
  });
});

test("a base that is no model of the hub is named in the text alone", () => {
  const card = modelCard({ ...FACTS, base: { name: "mine", isOfHub: false, revision: null } });
  expect(frontMatter(card)).not.toHaveProperty("base_model");
  expect(card).toContain("The base is `mine`, no model of the hub: who loads this needs a copy of it.");
  expect(card).toContain('base = "path/to/mine"');
});

test("text from elsewhere stays text", () => {
  const card = modelCard({ ...FACTS, title: "a\n---\nlicense: mit <b>", license: {} });
  expect(card).toContain("# a --- license: mit \\<b\\>\n");
  expect(card).toContain("| LoRA \\| of \\<rank\\> 2 |");
  expect(frontMatter(card)).not.toHaveProperty("license");
});

test.each([
  [
    { kind: "adapter", hasTokenizer: false, isChat: true },
    'tokenizer = AutoTokenizer.from_pretrained(base, revision="0123")',
  ],
  [{ kind: "model", isQuantized: true, isChat: true }, "apply_chat_template"],
  [{ kind: "onnx", dtype: "q8", isChat: false }, '{ dtype: "q8" }'],
  [{ kind: "onnx", dtype: "q8", isChat: false }, "console.log(output[0].generated_text);"],
  [{ kind: "onnx", dtype: "q8", isChat: true }, "console.log(output[0].generated_text.at(-1).content);"],
  [{ kind: "gguf", file: "my model.gguf" }, "llama-cli -m 'my model.gguf'"],
  [{ kind: "gguf-adapter", file: "a.gguf" }, "llama-cli -m base.gguf --lora a.gguf"],
] as const)("%o is loaded with %s", (form, code) => {
  expect(modelCard({ ...FACTS, form })).toContain(code);
});

test("a card is known as our own until somebody changes it, and only then takes a name", () => {
  const card = modelCard(FACTS);
  expect(isOwnCard(card)).toBe(true);
  const mine = card.replace("An adapter.", "My adapter.");
  expect(isOwnCard(mine)).toBe(false);
  const named = (text: string): string => changedCard(text, (one) => cardNamed(one, "org/mine"));
  expect(named(mine)).toBe(mine);
  expect(isOwnCard(named(card))).toBe(true);
  expect(named(card)).toContain('here = "org/mine"');
  expect(named(card)).toContain('npx highrank generate --prompt "Once upon a time" org/mine\n');
});

test("the licence and languages of a card are read, whatever else it holds", () => {
  const card = "---\nlicense: other\nlicense_name: own\nlicense_link: [1]\nlanguage:\n- en\n- 3\n---\nx";
  expect(statedIn(card)).toEqual({ license: { license: "other", license_name: "own" }, languages: ["en"] });
  expect(statedIn("no card")).toEqual({ license: {}, languages: [] });
});
