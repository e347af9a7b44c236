import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { writeSmallModel } from "../small-model.js";
import type { Area } from "./bad-input.js";

const writeModel = (cwd: string): Promise<void> => writeSmallModel(path.join(cwd, "model"), { numLayers: 1 });

/** Writes the model, with a file of this name and content beside it. */
async function writeWith(cwd: string, name: string, content: object): Promise<void> {
  await writeModel(cwd);
  await writeFile(path.join(cwd, "model", name), JSON.stringify(content));
}

export const generation: Area = {
  title: "Generation",
  rows: [
    {
      name: "generate: a stop text that is empty, and parts of a chat without one",
      args: ["generate", "model", "--stop", "", "--system", "Be brief.", "--chat-template", "chat.jinja"],
      says: [
        "--stop: must be a text of at least one character",
        "--system is for chats",
        "--chat-template is for chats",
      ],
      code: 2,
    },
    {
      name: "generate: one JSON object for a chat of many answers",
      args: ["generate", "model", "--chat", "--json"],
      prints: '{"error":{"name":"ConfigError"',
      says: ["--json: a chat gives one answer; ask for it with --prompt"],
      code: 2,
    },
    {
      name: "generate: data without a file for the answers",
      args: ["generate", "model", "--data", "prompts.jsonl", "--prompt", "Hello"],
      says: ["--data: name the file for the answers with --out", "--prompt does not go with --data"],
      code: 2,
    },
    {
      name: "generate: answers into a file that exists",
      args: ["generate", "model", "--data", "prompts.jsonl", "--out", "prompts.jsonl"],
      files: { "prompts.jsonl": '{"prompt": "Hello"}\n' },
      prepare: writeModel,
      says: ["--out: prompts.jsonl exists; name a new file, or remove it"],
      code: 2,
    },
    {
      name: "generate: data that ask nothing",
      args: ["generate", "model", "--data", "chats.jsonl", "--out", "answers.jsonl"],
      files: { "chats.jsonl": '{"messages": [{"role": "assistant", "content": "Hello"}]}\n' },
      prepare: writeModel,
      says: ["chats.jsonl, line 1: has an answer and nothing before it; add the message that it answers"],
      code: 3,
    },
    {
      name: "generate: data of columns that no prompt has",
      args: ["generate", "model", "--data", "rows.jsonl", "--out", "answers.jsonl"],
      files: { "rows.jsonl": '{"ask": "Hello"}\n' },
      prepare: writeModel,
      says: ["rows.jsonl, line 1: must have", 'the keys found are "ask"', "--columns prompt=KEY"],
      code: 3,
    },
    {
      name: "generate: a chat with a model that has no template",
      args: ["generate", "model", "--chat", "--prompt", "Hello"],
      prepare: writeModel,
      says: ["model: its tokenizer has no chat template", "--chat-template", "use generate without --chat"],
      code: 2,
    },
    {
      name: "generate: a chat that the template refuses",
      args: [
        "generate",
        "model",
        "--chat",
        "--chat-template",
        "chat.jinja",
        "--system",
        "Be brief.",
        "--prompt",
        "Hello",
      ],
      files: {
        "chat.jinja":
          "{% if messages[0].role == 'system' %}{{ raise_exception('no system message here') }}{% endif %}{{ messages[0].content }}",
      },
      prepare: writeModel,
      says: ["the chat template says", "no system message here"],
      code: 3,
    },
    {
      name: "generate: a model that says how it ends in no way that is known",
      args: ["generate", "model"],
      prepare: (cwd) => writeWith(cwd, "generation_config.json", { eos_token_id: ["</s>"] }),
      says: ["generation_config.json: eos_token_id must be a token's number or a list of them", '["</s>"]'],
      code: 3,
    },
    {
      name: "generate: the tokenizer of another model",
      args: ["generate", "model", "--prompt", "Hello!"],
      prepare: async (cwd) => {
        await writeModel(cwd);
        const file = path.join(cwd, "model/tokenizer.json");
        const json = JSON.parse(await readFile(file, "utf8"));
        json.added_tokens.push({ ...json.added_tokens[0], id: 280, content: "Hello" });
        await writeFile(file, JSON.stringify(json));
      },
      says: ["the prompt has token 280, but the model has", "its tokenizer is another model's"],
      code: 3,
    },
  ],
};
