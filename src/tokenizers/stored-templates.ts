import { baseName, exists, extension, fileSize, isDirectory, listFolder, pathInside, readText } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { isObject, shownValue } from "../base/json.js";
import { optionName } from "../base/naming.js";
import type { TokenizerConfig } from "./tokenizer.js";

/** Longest template that is read, in bytes; published ones have up to some ten thousand. */
const MAX_TEMPLATE_BYTES = 1_000_000;

/** Names that transformers gives a meaning: the usual template, and that for conversations with tools. */
const DEFAULT = "default";
const TOOL_USE = "tool_use";

/** Folder of the templates with other names than `default`, a file for each. */
export const ADDITIONAL_TEMPLATES = "additional_chat_templates";

/** A template of a tokenizer that has several. */
export interface NamedTemplate {
  readonly name: string;
  readonly template: string;
}

/** Reads a template from its own file. @throws DataError if it cannot be read, CheckpointError if it is too long. */
export async function readTemplateFile(path: string): Promise<string> {
  const size = await fileSize(path);
  if (size <= MAX_TEMPLATE_BYTES) return readText(path);
  throw new CheckpointError(`${path}: a chat template has at most ${MAX_TEMPLATE_BYTES} bytes, this file has ${size}`);
}

/**
 * The templates in the files of a tokenizer's folder, which override tokenizer_config.json: chat_template.jinja, and
 * others by name in `additional_chat_templates`. Undefined without any.
 */
export async function templatesBeside(folder: string): Promise<string | NamedTemplate[] | undefined> {
  const usual = await pathInside(folder, "chat_template.jinja");
  const template = (await exists(usual)) ? await readTemplateFile(usual) : undefined;
  const named: NamedTemplate[] = template === undefined ? [] : [{ name: DEFAULT, template }];
  for (const file of await additionalTemplates(folder)) {
    const name = baseName(file).slice(0, -extension(file).length);
    named.push({ name, template: await readTemplateFile(await pathInside(folder, file)) });
  }
  return named.length > 1 || (named.length === 1 && template === undefined) ? named : template;
}

/** Paths in a model folder of its templates with names of their own. */
export async function additionalTemplates(folder: string): Promise<string[]> {
  const path = await pathInside(folder, ADDITIONAL_TEMPLATES);
  if (!(await isDirectory(path))) return [];
  const names = (await listFolder(path)).filter((name) => extension(name) === ".jinja" && !name.startsWith("."));
  return names.map((name) => `${ADDITIONAL_TEMPLATES}/${name}`);
}

/** The templates of a tokenizer that its chats are rendered with. */
export interface ChatTemplates {
  readonly usual: string;
  /** Renders conversations with tools; undefined if the usual one does. */
  readonly forTools: string | undefined;
}

/**
 * The templates in a tokenizer's config, or null: `chat_template` is a text or several by name. Of these `tool_use`
 * renders conversations with tools, and `default` the others, as in transformers.
 * @throws CheckpointError if it is anything else, or none is named default.
 */
export function storedTemplates(config: TokenizerConfig): ChatTemplates | null {
  const { chat_template: stored } = config;
  if (stored === undefined || stored === null) return null;
  if (typeof stored === "string") return { usual: stored, forTools: undefined };
  const named = namedTemplates(config);
  const only = named.length === 1 && named[0]!.name !== TOOL_USE ? named[0]!.template : undefined;
  const usual = templateNamed(config, DEFAULT) ?? only;
  if (usual !== undefined) return { usual, forTools: templateNamed(config, TOOL_USE) };
  const names = shownValue(named.map(({ name }) => name));
  throw new CheckpointError(
    `tokenizer_config.json: chat_template has no template named "${DEFAULT}" among ${names}; ` +
      `name one of them, or a file with one, as ${optionName("chatTemplate")}`,
  );
}

/** The template of this name in a tokenizer's config; undefined if it has none. @throws CheckpointError */
export function templateNamed(config: TokenizerConfig, name: string): string | undefined {
  return namedTemplates(config).find((one) => one.name === name)?.template;
}

/** Names of the templates in a tokenizer's config; none if it has one template at most. @throws CheckpointError */
export function templateNames(config: TokenizerConfig): string[] {
  return namedTemplates(config).map(({ name }) => name);
}

/** @throws CheckpointError unless the config has templates as transformers stores them, or none. */
function namedTemplates({ chat_template: stored }: TokenizerConfig): NamedTemplate[] {
  if (stored === undefined || stored === null || typeof stored === "string") return [];
  const named = isObject(stored) ? Object.entries(stored).map(([name, template]) => ({ name, template })) : stored;
  if (Array.isArray(named) && named.every(isNamedTemplate)) return named;
  throw new CheckpointError(
    `tokenizer_config.json: chat_template must be a text or texts by name, got ${shownValue(stored)}`,
  );
}

function isNamedTemplate(value: unknown): value is NamedTemplate {
  return isObject(value) && typeof value.name === "string" && typeof value.template === "string";
}
