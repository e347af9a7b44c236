import { frontMatter } from "../data/front-matter.js";
import type { GgufValue } from "./types.js";

/**
 * The keys of a GGUF file for what the card of a model (README.md) says of it: license, models and data sets that it
 * was made of, languages and tags, as llama.cpp's converter writes them.
 */
export function ggufCardOf(text: string): Map<string, GgufValue> {
  const card = frontMatter(text);
  const keys = new Map<string, GgufValue>();
  for (const [field, key] of Object.entries(TEXTS)) {
    const [value] = textsOf(card[field]);
    if (value !== undefined) keys.set(key, string(value));
  }
  for (const [key, value] of sourcesOf("base_model", textsOf(card.base_model))) keys.set(key, value);
  for (const [key, value] of sourcesOf("dataset", textsOf(card.datasets))) keys.set(key, value);
  const tags = [...textsOf(card.tags), ...textsOf(card.pipeline_tag)];
  if (tags.length > 0) keys.set("general.tags", list(tags));
  const languages = textsOf(card.language);
  if (languages.length > 0) keys.set("general.languages", list(languages));
  return keys;
}

/** The keys for the model that another was made of, by its name on the hub. */
export function ggufBaseOf(name: string): Map<string, GgufValue> {
  return sourcesOf("base_model", [name]);
}

const TEXTS: Readonly<Record<string, string>> = {
  license: "general.license",
  license_name: "general.license.name",
  license_link: "general.license.link",
};

/** A text or a list of texts. */
function textsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === "string" && each !== "");
}

/** Keys for models or data sets on the hub. */
function sourcesOf(kind: "base_model" | "dataset", names: readonly string[]): Map<string, GgufValue> {
  const keys = new Map<string, GgufValue>();
  if (names.length > 0) keys.set(`general.${kind}.count`, { type: "uint32", value: names.length });
  for (const [number, name] of names.entries()) {
    const [organization, own] = /^([^/\s]+)\/([^/\s]+)$/.exec(name)?.slice(1) ?? [];
    const key = `general.${kind}.${number}`;
    keys.set(`${key}.name`, string(titleOf(own ?? name)));
    if (organization === undefined) continue;
    keys.set(`${key}.organization`, string(titleOf(organization)));
    keys.set(`${key}.repo_url`, string(`https://huggingface.co/${kind === "dataset" ? "datasets/" : ""}${name}`));
  }
  return keys;
}

/** A name as a title: words instead of hyphens, with capitals but for versions and sizes. */
function titleOf(name: string): string {
  const words = name.replaceAll("-", " ").trim().split(/\s+/);
  const isPlain = (word: string): boolean => word === word.toLowerCase() && !/^(v\d+(\.\d+)*|\d.*)$/.test(word);
  return words.map((word) => (isPlain(word) ? word.charAt(0).toUpperCase() + word.slice(1) : word)).join(" ");
}

function string(value: string): GgufValue {
  return { type: "string", value };
}

function list(items: readonly string[]): GgufValue {
  return { type: "array", of: "string", count: items.length, items };
}
