import { expect, test } from "vitest";
import { ConfigError, DataError } from "../base/errors.js";
import { trainBytePairEncoding } from "../tokenizers/bpe-trainer.js";
import { BUILT_IN_NAMES, BUILT_IN_TEMPLATES } from "../tokenizers/built-in-templates.js";
import { withTemplate } from "../tokenizers/model-tokenizer.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { ChatRenderer } from "./chat-rendering.js";

const TOKENS = { bos_token: "<s>", eos_token: "</s>" };
const TURNS = [
  { role: "user", content: "Hi." },
  { role: "assistant", content: "Hello." },
  { role: "user", content: "Bye?" },
];
const WITH_SYSTEM = [{ role: "system", content: "Be brief." }, ...TURNS];

/** As the public templates write it: TRL 1.16 for llama3, gemma (3) and phi (3), the models' cards for the others. */
const PUBLIC: Readonly<Record<string, readonly [plain: string, withSystem: string]>> = {
  chatml: [
    "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye?<|im_end|>\n<|im_start|>assistant\n",
  ],
  llama3: [
    "<s><|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
  ],
  gemma: [
    "<s><start_of_turn>user\nHi.<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>user\nBye?<end_of_turn>\n<start_of_turn>model\n",
    "<s><start_of_turn>user\nBe brief.\n\nHi.<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>user\nBye?<end_of_turn>\n<start_of_turn>model\n",
  ],
  mistral: [
    "<s> [INST] Hi. [/INST] Hello.</s> [INST] Bye? [/INST]",
    "<s> [INST] Be brief.\n\nHi. [/INST] Hello.</s> [INST] Bye? [/INST]",
  ],
  phi: [
    "<|user|>\nHi.<|end|>\n<|assistant|>\nHello.<|end|>\n<|user|>\nBye?<|end|>\n<|assistant|>\n",
    "<|system|>\nBe brief.<|end|>\n<|user|>\nHi.<|end|>\n<|assistant|>\nHello.<|end|>\n<|user|>\nBye?<|end|>\n<|assistant|>\n",
  ],
  zephyr: [
    "<|user|>\nHi.</s>\n<|assistant|>\nHello.</s>\n<|user|>\nBye?</s>\n<|assistant|>\n",
    "<|system|>\nBe brief.</s>\n<|user|>\nHi.</s>\n<|assistant|>\nHello.</s>\n<|user|>\nBye?</s>\n<|assistant|>\n",
  ],
  alpaca: [
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nHi.\n\n### Response:\nHello.</s>\n\n### Instruction:\nBye?\n\n### Response:\n",
    "Be brief.\n\n### Instruction:\nHi.\n\n### Response:\nHello.</s>\n\n### Instruction:\nBye?\n\n### Response:\n",
  ],
  vicuna: [
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions. USER: Hi. ASSISTANT: Hello.</s>USER: Bye? ASSISTANT:",
    "Be brief. USER: Hi. ASSISTANT: Hello.</s>USER: Bye? ASSISTANT:",
  ],
};

test("each built-in template has its public text here", () => {
  expect(Object.keys(PUBLIC)).toEqual(BUILT_IN_NAMES);
});

test.each(Object.entries(PUBLIC))("%s writes the public format", (name, [plain, withSystem]) => {
  const renderer = new ChatRenderer(BUILT_IN_TEMPLATES[name]!.source, TOKENS);
  expect(renderer.render({ messages: TURNS }, { addGenerationPrompt: true })).toBe(plain);
  expect(renderer.render({ messages: WITH_SYSTEM }, { addGenerationPrompt: true })).toBe(withSystem);
});

test.each(BUILT_IN_NAMES)("%s: each answer is scored with what ends it", (name) => {
  const renderer = new ChatRenderer(BUILT_IN_TEMPLATES[name]!.source, TOKENS);
  const messages = [...WITH_SYSTEM, { role: "assistant", content: "Goodbye." }];
  const { text, assistantSpans } = renderer.renderWithSpans({ messages }, "whole");
  const [end] = [...BUILT_IN_TEMPLATES[name]!.tokens.slice(-1), TOKENS.eos_token];
  expect(
    assistantSpans.map(([start, stop]) =>
      text
        .slice(start, stop)
        .trim()
        .replace(/^ASSISTANT: |^### Response:\n/, ""),
    ),
  ).toEqual(
    ["Hello.", "Goodbye."].map((answer, index) => answer + end + (name === "phi" && index === 1 ? "\n</s>" : "")),
  );
});

const plain = Tokenizer.fromJson(trainBytePairEncoding(["a"], { vocabSize: 257 }), { eos_token: "<|endoftext|>" });

test("a tokenizer gets the tokens that it lacks, and writes them as one each", async () => {
  const tokenizer = await withTemplate(plain, "chatml");
  expect(tokenizer.newTokens).toEqual(["<|im_start|>", "<|im_end|>"]);
  expect(tokenizer.vocabSize).toBe(plain.vocabSize + 2);
  expect(tokenizer.encode("<|im_start|>a<|im_end|>")).toEqual([257, ...plain.encode("a"), 258]);
  const stored = Tokenizer.fromJson(tokenizer.toJson(), tokenizer.config);
  expect(stored.encode("<|im_end|>a")).toEqual([258, ...plain.encode("a")]);
  // It has them now.
  expect((await withTemplate(stored, "chatml")).newTokens).toEqual([]);
  expect((await withTemplate(plain, "zephyr")).newTokens).toEqual([]);
});

test("what can be named is said, and a format that needs an end of text wants one", async () => {
  await expect(withTemplate(plain, "chatlm")).rejects.toThrow(DataError);
  await expect(withTemplate(plain, "chatlm")).rejects.toThrow(/no file chatlm, and the built-in ones chatml, llama3/);
  const nameless = Tokenizer.fromJson(trainBytePairEncoding(["a"], { vocabSize: 257 }));
  await expect(withTemplate(nameless, "vicuna")).rejects.toThrow(ConfigError);
});
