import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { Tokenizer } from "../../src/tokenizers/tokenizer.js";
import { evaluateTarget } from "../../src/verbs/evaluate.js";
import { Writer } from "../../src/verbs/generate.js";
import { mergeTarget } from "../../src/verbs/merge.js";
import { runCommand } from "../run-command.js";
import { writeSmallModel } from "../small-model.js";
import { ask, describePeers, realModel } from "./peer.js";

const LOADING = { base: null, adapter: true, device: "cpu", threads: 2 } as const;
const GREEDY = { temperature: 0, topK: null, topP: 1, seed: 0 } as const;

/** One document. */
const TEXT =
  "A lighthouse keeper writes down the weather every evening: the wind, the height of the waves and the ships that " +
  "pass. In winter there is little to write, and she reads what those before her wrote about the same rocks.";

interface Beginnings {
  readonly loss: number;
  readonly written: readonly { readonly prompt: number; readonly text: string }[];
}

describePeers("what stands before and after a text, against transformers and PEFT", () => {
  const root = mkdtempSync(path.join(tmpdir(), "highrank-beginnings-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const text = path.join(root, "text.txt");
  writeFileSync(text, TEXT);

  test.each([
    ["gemma3-270m", ["", "The lighthouse"], 6],
    ["smollm2-135m", [null, "The lighthouse", " and"], 8],
  ] as const)("%s: held-out loss and greedy text", { timeout: 600_000 }, async (name, prompts, maxNewTokens) => {
    const folder = await realModel(name);
    const theirs = await ask<Beginnings>("tokenizer_peers", "beginnings", {
      path: folder,
      text: TEXT,
      prompts,
      new_tokens: maxNewTokens,
    });
    const data = { data: text, batchSize: 1, sequenceLength: null, maxTokens: null };
    const { loss } = await evaluateTarget(folder, { ...LOADING, ...data });
    expect(Math.abs(loss - theirs.loss)).toBeLessThan(1e-4);
    const writer = await Writer.open(folder, LOADING);
    try {
      for (const [i, prompt] of prompts.entries()) {
        const { text: said, promptTokens } = await writer.continue(prompt ?? "", { ...GREEDY, maxNewTokens });
        expect([promptTokens, said]).toEqual([theirs.written[i]!.prompt, theirs.written[i]!.text]);
      }
    } finally {
      await writer.release();
    }
  });

  test("a chat that was trained on ends where its template ends turns, in transformers too", {
    timeout: 600_000,
  }, async () => {
    const model = path.join(root, "model");
    await writeSmallModel(model, { maxSequenceLength: 64 });
    const config = JSON.parse(readFileSync(path.join(model, "tokenizer_config.json"), "utf8"));
    const template =
      "{% for m in messages %}[{{ m.role }}]{{ m.content }}<turn>\n{% endfor %}" +
      "{% if add_generation_prompt %}[assistant]{% endif %}";
    const added_tokens_decoder = { 279: { content: "<turn>", special: true } };
    const json = JSON.parse(readFileSync(path.join(model, "tokenizer.json"), "utf8"));
    const last = Object.keys(json.model.vocab).find((token) => json.model.vocab[token] === 279)!;
    delete json.model.vocab[last];
    json.model.merges = json.model.merges.filter(([a, b]: [string, string]) => a + b !== last);
    writeFileSync(path.join(model, "tokenizer.json"), JSON.stringify(json));
    const changed = { ...config, chat_template: template, added_tokens_decoder };
    writeFileSync(path.join(model, "tokenizer_config.json"), JSON.stringify(changed));
    const turns = [
      ["sun", "cat"],
      ["mat", "sat"],
      ["two", "six"],
      ["the", "on"],
    ] as const;
    const chats = [...turns, ...turns, ...turns].map(([user, assistant], i) => {
      const messages = [
        { role: "user", content: user },
        { role: "assistant", content: assistant },
      ];
      return JSON.stringify({ messages, number: i });
    });
    writeFileSync(path.join(root, "chats.jsonl"), chats.join("\n"));
    const flags = "--method full --batch-size 8 --max-steps 120 --sequence-length 32 --lr 2e-2 --warmup-steps 5";
    const rest = "--eval-every none --save-every none --sample-tokens 0 --threads 2 --validation-fraction 0.2";
    const args = [
      "train",
      "--model",
      "model",
      "--data",
      "chats.jsonl",
      "--out",
      "run",
      ...`${flags} ${rest}`.split(" "),
    ];
    expect(await runCommand(args, { cwd: root })).toMatchObject({ code: 0 });
    const finished = path.join(root, "run/model");
    const generation = JSON.parse(readFileSync(path.join(finished, "generation_config.json"), "utf8"));
    expect(generation.eos_token_id).toEqual([279, 0]);
    const messages = [{ role: "user", content: "sun" }];
    const theirs = await ask<{ ids: number[]; text: string }>("tokenizer_peers", "chat", {
      path: finished,
      messages,
      new_tokens: 20,
    });
    expect(theirs.ids.at(-1)).toBe(279);
    const writer = await Writer.open(path.join(root, "run"), LOADING);
    try {
      const answer = await writer.answer(messages, { ...GREEDY, maxNewTokens: 20 });
      expect([answer.text, answer.finish]).toEqual([theirs.text, "end-of-text"]);
    } finally {
      await writer.release();
    }
  });

  test("an adapter with added tokens brings its tokenizer and its vocabulary", { timeout: 600_000 }, async () => {
    const [base, adapter, merged] = ["base", "adapter", "merged"].map((name) => path.join(root, name)) as [
      string,
      string,
      string,
    ];
    await writeSmallModel(base, { maxSequenceLength: 64 });
    await ask("tokenizer_peers", "resized_adapter", { base, out: adapter, tokens: ["<a>", "<turn>"] });
    const ids = [
      [5, 280, 7, 100, 281],
      [281, 9, 30, 280, 44, 8],
    ];
    const rows = path.join(root, "rows.jsonl");
    writeFileSync(rows, ids.map((input_ids) => JSON.stringify({ input_ids })).join("\n"));
    const theirs = await ask<number>("tokenizer_peers", "adapter_loss", { base, adapter, ids });
    const data = { data: rows, batchSize: 1, sequenceLength: null, maxTokens: null };
    const { loss } = await evaluateTarget(adapter, { ...LOADING, ...data, base });
    expect(Math.abs(loss - theirs)).toBeLessThan(2e-5);
    await mergeTarget(adapter, { base, out: merged, dtype: null, verify: false });
    const whole = await evaluateTarget(merged, { ...LOADING, ...data });
    expect(Math.abs(whole.loss - theirs)).toBeLessThan(2e-5);
    const tokenizer = await Tokenizer.fromFolder(merged);
    expect([tokenizer.encode("<a><turn>"), tokenizer.endOfTextId]).toEqual([[280, 281], 281]);
    expect(JSON.parse(readFileSync(path.join(merged, "generation_config.json"), "utf8")).eos_token_id).toEqual([
      281, 0,
    ]);
    const writer = await Writer.open(adapter, { ...LOADING, base });
    await writer.answer([{ role: "user", content: "the" }], { ...GREEDY, maxNewTokens: 1 });
    await writer.release();
  });
});
