import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { ChatTemplate } from "../../src/chats/chat-template.js";
import { Tokenizer } from "../../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../../src/tokenizers/train-tokenizer.js";
import { KIND_TEXTS, TOKENIZER_KINDS } from "../tokenizer-kinds.js";
import { ask, describePeers } from "./peer.js";

interface Folder {
  readonly ids: readonly (readonly number[])[];
  readonly whole: readonly (readonly number[])[];
  readonly decoded: readonly string[];
  readonly skipped: readonly string[];
  readonly named: Readonly<Record<string, string>>;
  readonly size: number;
  readonly chat: string | null;
}

const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true } as const;
const CONFIG = {
  tokenizer_class: "PreTrainedTokenizerFast",
  chat_template: "{{ bos_token }}|{{ eos_token }}|{{ sep_token }}|{{ cls_token }}|{{ mask_token }}",
};
const JSON_FILE = TOKENIZER_KINDS["added tokens"]!;

/** Files of tokenizers whose tokens stand in other files than tokenizer.json. */
const FOLDERS: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  "nothing but tokenizer.json": {},
  "a decoder in the config": {
    "tokenizer_config.json": {
      ...CONFIG,
      eos_token: "<fin>",
      added_tokens_decoder: {
        "258": { ...PLAIN, special: false, content: "solo", lstrip: true },
        "262": { ...PLAIN, content: "<fin>" },
        "261": { ...PLAIN, special: false, normalized: true, content: "two" },
      },
    },
  },
  "named tokens of the config alone": {
    "tokenizer_config.json": {
      ...CONFIG,
      bos_token: "<end>",
      eos_token: "more",
      sep_token: "<sep>",
      cls_token: "two",
      mask_token: { __type: "AddedToken", ...PLAIN, content: "<mask>", lstrip: true },
    },
  },
  "extra special tokens": {
    "tokenizer_config.json": {
      ...CONFIG,
      eos_token: "É!",
      additional_special_tokens: ["1", "é a", { __type: "AddedToken", ...PLAIN, content: "SOLO", rstrip: true }],
    },
  },
  "extra special tokens, by their newer name": {
    "tokenizer_config.json": { ...CONFIG, eos_token: "É!", extra_special_tokens: ["x", "é a"] },
  },
  "named extra tokens": {
    "tokenizer_config.json": { ...CONFIG, extra_special_tokens: { image_token: "two", eoi_token: "SOLO" } },
  },
  "added_tokens.json": {
    "tokenizer_config.json": { ...CONFIG, eos_token: "two" },
    "added_tokens.json": { two: 262, MORE: 261, solo: 258 },
  },
  "special_tokens_map.json": {
    "tokenizer_config.json": { ...CONFIG, eos_token: "É!" },
    "special_tokens_map.json": {
      eos_token: { ...PLAIN, content: "two", rstrip: true },
      bos_token: "<end>",
      additional_special_tokens: ["SOLO"],
    },
  },
  "older files beside a decoder, which do not count": {
    "tokenizer_config.json": {
      ...CONFIG,
      eos_token: "É!",
      added_tokens_decoder: { "260": { ...PLAIN, content: "É!" } },
    },
    "special_tokens_map.json": { eos_token: "two" },
    "added_tokens.json": { SOLO: 261 },
  },
  "a text begins and ends": {
    "tokenizer.json": TOKENIZER_KINDS["template with both ends"]!,
    "tokenizer_config.json": {
      ...CONFIG,
      bos_token: "<unk>",
      eos_token: "<end>",
      add_bos_token: false,
      add_eos_token: false,
    },
  },
  "spaces that are not cleaned up": {
    "tokenizer.json": TOKENIZER_KINDS["byte level"]!,
    "tokenizer_config.json": { ...CONFIG, clean_up_tokenization_spaces: true },
  },
  "spaces that are cleaned up": {
    "tokenizer.json": TOKENIZER_KINDS["whole words"]!,
    "tokenizer_config.json": { ...CONFIG, unk_token: "[UNK]", clean_up_tokenization_spaces: true },
  },
  "truncation and padding": {
    "tokenizer_config.json": { ...CONFIG, pad_token: "<unk>" },
    "tokenizer.json": {
      ...JSON_FILE,
      truncation: { direction: "Right", max_length: 4, strategy: "LongestFirst", stride: 0 },
      padding: {
        strategy: { Fixed: 9 },
        direction: "Right",
        pad_to_multiple_of: null,
        pad_id: 0,
        pad_type_id: 0,
        pad_token: "<unk>",
      },
    },
  },
};

describePeers("tokenizers' folders against AutoTokenizer", () => {
  const root = mkdtempSync(path.join(tmpdir(), "highrank-tokenizers-"));
  afterAll(() => rmSync(root, { recursive: true }));

  test.each(Object.entries(FOLDERS))("%s", async (name, files) => {
    const folder = mkdtempSync(path.join(root, "folder-"));
    for (const [file, content] of Object.entries({
      "tokenizer.json": JSON_FILE,
      "tokenizer_config.json": CONFIG,
      ...files,
    })) {
      writeFileSync(path.join(folder, file), JSON.stringify(content));
    }
    await expectEqual(folder, name);
    // What we write of it reads the same.
    const read = await Tokenizer.fromFolder(folder);
    const copy = mkdtempSync(path.join(root, "copy-"));
    writeFileSync(path.join(copy, "tokenizer.json"), JSON.stringify(read.toJson()));
    writeFileSync(path.join(copy, "tokenizer_config.json"), JSON.stringify(read.config));
    await expectEqual(copy, name);
  });

  test("a tokenizer of ours begins each text with its end of text, for transformers too", async () => {
    const tokenizer = trainTokenizer([...KIND_TEXTS], { vocabSize: 300 });
    const folder = mkdtempSync(path.join(root, "ours-"));
    writeFileSync(path.join(folder, "tokenizer.json"), JSON.stringify(tokenizer.toJson()));
    writeFileSync(path.join(folder, "tokenizer_config.json"), JSON.stringify(tokenizer.config));
    await expectEqual(folder, "ours");
    expect(tokenizer.encodePrompt("solo", null)[0]).toBe(tokenizer.endOfTextId);
  });
});

async function expectEqual(folder: string, name: string): Promise<void> {
  const messages = [{ role: "user", content: "a" }];
  const texts = KIND_TEXTS.filter((text) => text !== "");
  const hasTemplate = name !== "ours";
  const theirs = await ask<Folder>("tokenizer_peers", "folder", {
    path: folder,
    texts,
    messages: hasTemplate ? messages : null,
  });
  const tokenizer = await Tokenizer.fromFolder(folder);
  const { before, after } = tokenizer.surround;
  const ids = texts.map((text) => tokenizer.encode(text));
  const whole = ids.map((each) => [...before, ...each, ...after]);
  const ours = {
    ids,
    whole,
    decoded: ids.map((each) => tokenizer.decode(each)),
    skipped: whole.map((each) => tokenizer.decode(each, { skipSpecialTokens: true })),
    size: tokenizer.vocabSize,
    named: Object.fromEntries(tokenizer.namedTokens),
  };
  const { chat, ...rest } = theirs;
  expect(ours).toEqual(rest);
  if (hasTemplate) expect(await ChatTemplate.of(tokenizer)!.prompt({ messages: messages as never })).toBe(chat);
}
