import { exists, pathInside } from "#platform";
import { isObject } from "../base/json.js";
import { addedTokenOf } from "./added-tokens.js";
import type { TokenizerConfig } from "./tokenizer.js";

// Tokens of a tokenizer stand in four files. transformers 5.23 is followed in which of them count.

/** Files beside tokenizer.json, as transformers wrote them up to version 4.33. */
interface LegacyFiles {
  /** `special_tokens_map.json`: the tokens of the config, which it replaces. */
  readonly specialTokens?: Readonly<Record<string, unknown>>;
  /** `added_tokens.json`: ids by token. */
  readonly addedTokens?: Readonly<Record<string, unknown>>;
}

/** Reads the older files of a tokenizer's folder, where they are. */
export async function legacyFiles(
  folder: string,
  readJson: (path: string) => Promise<Record<string, unknown>>,
): Promise<LegacyFiles> {
  const read = async (name: string): Promise<Record<string, unknown> | undefined> => {
    const path = await pathInside(folder, name);
    return (await exists(path)) ? readJson(path) : undefined;
  };
  const [specialTokens, addedTokens] = [await read("special_tokens_map.json"), await read("added_tokens.json")];
  return { ...(specialTokens && { specialTokens }), ...(addedTokens && { addedTokens }) };
}

/**
 * A config that holds what the older files say. They count only beside a config without `added_tokens_decoder`, which
 * took their place.
 * @param added the `added_tokens` of tokenizer.json, whose flags go before those of added_tokens.json.
 */
export function withLegacyFiles(
  config: TokenizerConfig,
  { specialTokens, addedTokens }: LegacyFiles,
  added: readonly unknown[],
): TokenizerConfig {
  if (config.added_tokens_decoder !== undefined) return config;
  const listed = (token: unknown): unknown =>
    isObject(token) ? { __type: "AddedToken", ...token, special: true } : token;
  const named = Object.entries(specialTokens ?? {}).map(([name, token]) => {
    const isToken = !isObject(token) || contentOf(token) !== undefined;
    return [name, Array.isArray(token) ? token.map(listed) : isToken ? listed(token) : token] as const;
  });
  const merged: TokenizerConfig = { ...config, ...Object.fromEntries(named) };
  if (addedTokens === undefined) return merged;
  const special = new Set([...namedTokens(merged).values(), ...extraTokens(merged)].map(contentOf));
  const inFile = new Set(added.map(contentOf));
  const decoder = Object.entries(addedTokens).flatMap(([content, id]) => {
    const isSpecial = special.has(content);
    return inFile.has(content) ? [] : [[String(id), { content, normalized: !isSpecial, special: isSpecial }] as const];
  });
  return { ...merged, added_tokens_decoder: Object.fromEntries(decoder) };
}

/**
 * The added tokens of a tokenizer: those of its tokenizer.json and of `added_tokens_decoder`, and those that the config
 * only names, such as `eos_token`, or lists as extra ones.
 */
export function withConfigTokens(
  stored: readonly unknown[],
  config: TokenizerConfig,
): { readonly added: readonly unknown[]; readonly named: readonly { readonly content: string }[] } {
  const decoder = isObject(config.added_tokens_decoder) ? Object.entries(config.added_tokens_decoder) : [];
  const inFile = new Set(stored.map((token) => JSON.stringify(addedTokenOf(token))));
  const tokens = decoder
    .map(([id, token]) => (isObject(token) ? { ...token, id: Number(id) } : token))
    .filter((token) => !inFile.has(JSON.stringify(addedTokenOf(token))));
  const added = [...stored, ...tokens];
  const known = new Set(added.map(contentOf));
  const named = [...namedTokens(config).values(), ...extraTokens(config)].flatMap((token) => {
    const content = contentOf(token);
    if (content === undefined || known.has(content)) return [];
    known.add(content);
    return [{ ...(isObject(token) ? token : {}), content, special: true }];
  });
  return { added, named };
}

/** Names that every tokenizer has, in the order in which tokens that are new get their ids. */
const NAMES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);

/** The tokens that have names, such as `bos_token`, as a text or with flags. */
export function namedTokens(config: TokenizerConfig): Map<string, unknown> {
  const { extra_special_tokens: extra, model_specific_special_tokens: specific } = config;
  const own = Object.entries(config) as [name: string, token: unknown][];
  const usual = NAMES.flatMap((name) => own.filter(([key]) => key === name));
  const others = [extra, specific].filter(isObject).flatMap((each) => Object.entries(each));
  return new Map(
    [...usual, ...own, ...others].filter(([key, token]) => key.endsWith("_token") && contentOf(token) !== undefined),
  );
}

function extraTokens(config: TokenizerConfig): readonly unknown[] {
  const { extra_special_tokens: extra, additional_special_tokens: additional } = config;
  const list =
    extra !== undefined && extra !== null && !(Array.isArray(extra) && extra.length === 0) ? extra : additional;
  return Array.isArray(list) ? list : [];
}

/** The text of a token that is given as such or with flags. */
export function contentOf(token: unknown): string | undefined {
  const text = isObject(token) ? token.content : token;
  return typeof text === "string" ? text : undefined;
}
