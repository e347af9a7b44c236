import { listFolder, readBytes } from "#platform";
import { parseJsonObject } from "../base/json.js";
import { findTurnEnd } from "../chats/turn-end.js";
import type { Settings } from "../config/settings.js";
import { toJsonText } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { GENERATION_CONFIG, readEndIds, withEndIds } from "../formats/generation-config.js";
import { openModelFolder } from "../formats/model-folder.js";
import { readGgufTokenizer } from "../gguf/gguf-tokenizer.js";
import { isGgufName } from "../gguf/open-gguf.js";
import { additionalTemplates } from "../tokenizers/stored-templates.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import type { CompanionFiles } from "./model-source.js";

/** Files that transformers and others write beside the weights for a model's tokenizer and its generation settings. */
const COMPANIONS = [
  ...["tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json"],
  ...["vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", GENERATION_CONFIG],
];

/** Names of the files that say which tokens there are, beside tokenizer_config.json. */
const TOKENS = /^(tokenizer\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json)$/;

/** Names of the files that hold a chat template. */
const TEMPLATES = /^(tokenizer_config\.json|chat_template\..+|additional_chat_templates\/.+)$/;

/**
 * Files beside the weights in the folders that a run writes: those of the model that it starts from, unless the
 * settings give it another tokenizer or template.
 * @param tokenizer of the run; null if it has none.
 * @param folder that model; null where its weights are random.
 */
export async function runCompanions(
  tokenizer: Tokenizer | null,
  folder: string | null,
  given: Pick<Settings, "tokenizer" | "chatTemplate">,
): Promise<Map<string, string | Uint8Array>> {
  const made = new Map<string, string | Uint8Array>(tokenizer === null ? [] : filesOf(tokenizer));
  if (folder === null || given.tokenizer !== null) return made;
  for (const [name, content] of await companionFiles(folder)) {
    if (given.chatTemplate !== null && TEMPLATES.test(name)) continue;
    if (tokenizer !== null && tokenizer.newTokens.length > 0 && TOKENS.test(name)) continue;
    made.set(name, content);
  }
  return made;
}

function filesOf(tokenizer: Tokenizer): [name: string, content: string][] {
  const { endOfTextId } = tokenizer;
  return [
    ["tokenizer.json", jsonText(tokenizer.toJson())],
    ["tokenizer_config.json", jsonText(tokenizer.config)],
    [GENERATION_CONFIG, jsonText({ bos_token_id: endOfTextId, eos_token_id: endOfTextId })],
  ];
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** The same files, but with a generation_config.json in which these tokens end a text too. */
export function endingAt(files: CompanionFiles, endIds: readonly number[]): Map<string, string | Uint8Array> {
  const stored = files.get(GENERATION_CONFIG) ?? "{}";
  const config = parseJsonObject(
    typeof stored === "string" ? stored : new TextDecoder().decode(stored),
    GENERATION_CONFIG,
  );
  const ending = withEndIds(config, endIds);
  return ending === config
    ? new Map(files)
    : new Map([...files, [GENERATION_CONFIG, toJsonText(ending, GENERATION_CONFIG)]]);
}

/**
 * The files that go with a model whose tokenizer lies in a folder of its own, such as beside an adapter: no file of the
 * model's tokenizer is left. What ends a text or a turn for this tokenizer ends a generated text.
 */
export async function companionsWithTokenizer(
  folder: string,
  tokenizerFolder: string,
): Promise<Map<string, string | Uint8Array>> {
  const ofModel = await companionFiles(folder);
  if (tokenizerFolder === folder) return new Map(ofModel);
  const generation = ofModel.get(GENERATION_CONFIG);
  const files = new Map<string, string | Uint8Array>(generation === undefined ? [] : [[GENERATION_CONFIG, generation]]);
  for (const [name, content] of await companionFiles(tokenizerFolder)) files.set(name, content);
  const tokenizer = await readTokenizer(tokenizerFolder);
  const ends = [await findTurnEnd(tokenizer), tokenizer.findEndOfText()];
  const stored = files.has(GENERATION_CONFIG) ? [] : await readEndIds(folder);
  return endingAt(files, [...new Set([...ends.filter((id) => id !== undefined), ...stored])]);
}

/** The files of a folder's tokenizer and its chat templates, byte for byte. They go with an adapter. */
export async function tokenizerFiles(folder: string): Promise<Map<string, Uint8Array>> {
  const files = await companionFiles(folder);
  files.delete(GENERATION_CONFIG);
  return files;
}

/** The tokenizer of a model folder or a GGUF file. @throws CheckpointError as reading its files. */
export async function readTokenizer(path: string): Promise<Tokenizer> {
  if (!isGgufName(path)) return Tokenizer.fromFolder(path);
  const { tokenizerJson, tokenizerConfig } = await readGgufTokenizer(path);
  return Tokenizer.fromJson(tokenizerJson, tokenizerConfig);
}

/** The files of a model folder that go with any copy of the model, byte for byte; those that a GGUF file stands for. */
export async function companionFiles(folder: string): Promise<Map<string, Uint8Array>> {
  if (isGgufName(folder)) return ggufCompanions(folder);
  const present = new Set(await listFolder(folder));
  const names = [...COMPANIONS.filter((name) => present.has(name)), ...(await additionalTemplates(folder))];
  const files = new Map<string, Uint8Array>();
  for (const name of names) files.set(name, await readBytes(await checkpointPath(folder, name)));
  return files;
}

async function ggufCompanions(path: string): Promise<Map<string, Uint8Array>> {
  const { tokenizerJson, tokenizerConfig } = await readGgufTokenizer(path);
  const { bos_token_id, eos_token_id, pad_token_id } = (await openModelFolder(path)).config;
  const files = {
    "tokenizer.json": tokenizerJson,
    "tokenizer_config.json": tokenizerConfig,
    [GENERATION_CONFIG]: { bos_token_id, eos_token_id, pad_token_id },
  };
  return new Map(Object.entries(files).map(([name, json]) => [name, new TextEncoder().encode(jsonText(json))]));
}
