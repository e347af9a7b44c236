import { stringify } from "yaml";
import { frontMatter } from "../data/front-matter.js";
import { signedCard } from "../files/own-card.js";
import { type CardForm, HERE, loadingOf } from "./card-loading.js";

/** The model that another was made of. */
export interface CardBase {
  /** A name of the hub, or else that of the folder or file. */
  readonly name: string;
  readonly isOfHub: boolean;
  /** Commit, tag or branch on the hub; null if it is not known. */
  readonly revision: string | null;
}

/** What a card says of its model. It holds no paths: a reader elsewhere has other folders. */
export interface CardFacts {
  readonly title: string;
  readonly form: CardForm;
  /** Null for a model that began with random weights, or where it is not known. */
  readonly base: CardBase | null;
  /** How the hub calls what was made of the base; null leaves that to the hub. */
  readonly relation: "adapter" | "finetune" | "quantized" | "merge" | null;
  /** What the model is, in one sentence. */
  readonly summary: string;
  /** Licence as the card of the base states it. */
  readonly license: CardLicense;
  /** Names of data sets of the hub. */
  readonly datasets: readonly string[];
  /** Languages as codes, if they are known. */
  readonly languages: readonly string[];
  readonly tags: readonly string[];
  /** Names and values of a table on the training; empty where nothing is known of it. */
  readonly training: readonly (readonly [name: string, value: string])[];
  /** Held-out losses, names and values of a table. */
  readonly losses: readonly (readonly [name: string, value: string])[];
}

/** The fields of a licence in a card; empty if none is stated. */
export interface CardLicense {
  readonly license?: string;
  readonly license_name?: string;
  readonly license_link?: string;
}

const LIBRARIES: Readonly<Record<CardForm["kind"], string>> = {
  adapter: "peft",
  model: "transformers",
  onnx: "transformers.js",
  gguf: "gguf",
  "gguf-adapter": "gguf",
};

/** The card as the hub wants it: its front matter, then what people read. */
export function modelCard(facts: CardFacts): string {
  const { title, summary, training, losses } = facts;
  const sections = [
    `---\n${metadataOf(facts)}---`,
    `# ${plain(title)}`,
    plain(summary),
    `## Base and licence\n\n${baseText(facts)}`,
    ...(training.length === 0 ? [] : [`## Training\n\n${table(["", ""], training)}`]),
    ...(losses.length === 0
      ? []
      : [`## Held-out loss\n\nMean cross-entropy of a token, in nats.\n\n${table(["", "loss"], losses)}`]),
    `## How to load it\n\n${loadingOf(facts.form, facts.base)}`,
  ];
  return signedCard(`${sections.join("\n\n")}\n`);
}

/** The card for a repository of that name, in whose commands the name stands for the folder. */
export function cardNamed(card: string, name: string): string {
  return card.replaceAll(JSON.stringify(HERE), JSON.stringify(name)).replaceAll(` ${HERE}\n`, ` ${name}\n`);
}

/**
 * The card of an adapter for readers who get its base from the hub, whatever name the card has for it.
 * @param base of the hub.
 */
export function cardOnBase(card: string, form: CardForm, base: CardBase): string {
  const from = baseIn(card);
  if (from === null) return card;
  const metadata = stringify({ base_model: base.name, base_model_relation: "adapter" }, { lineWidth: 0 });
  return card
    .replace(/^(base_model|base_model_relation): .*\n/gm, "")
    .replace("---\n", () => `---\n${metadata}`)
    .replaceAll(baseWords(from, form), () => baseWords(base, form))
    .replaceAll(loadingOf(form, from), () => loadingOf(form, base));
}

/** The base that the text of a card names; null if it names none. */
function baseIn(card: string): CardBase | null {
  const local = /^The base is `([^`\n]+)`, no model of the hub/m.exec(card);
  if (local !== null) return { name: local[1]!, isOfHub: false, revision: null };
  const ofHub = /^The base is \[([^\]\n]+)\]\([^)\n]*\)(?:, revision `(\w+)`)?/m.exec(card);
  return ofHub === null ? null : { name: ofHub[1]!, isOfHub: true, revision: ofHub[2] ?? null };
}

function metadataOf({ form, base, relation, license, datasets, languages, tags }: CardFacts): string {
  const ofHub = base?.isOfHub === true;
  const fields = {
    ...(ofHub && { base_model: base.name }),
    ...(ofHub && relation !== null && { base_model_relation: relation }),
    library_name: LIBRARIES[form.kind],
    ...license,
    ...(languages.length > 0 && { language: languages }),
    ...(datasets.length > 0 && { datasets }),
    pipeline_tag: "text-generation",
    tags: ["highrank", ...tags],
  };
  return stringify(fields, { lineWidth: 0 });
}

function baseText({ base, form, license }: CardFacts): string {
  const stated = license.license_name ?? license.license;
  const link = license.license_link;
  const words = stated === undefined ? undefined : link ? `[${plain(stated)}](${encodeURI(link)})` : plain(stated);
  if (base === null) {
    return words === undefined
      ? "No licence is stated: add one as `license` above before you publish this."
      : `The licence is ${words}.`;
  }
  const licence =
    words === undefined
      ? "No card of it was at hand, or none that states a licence: look there before you use or publish this."
      : `Its licence, ${words}, holds for what is made of it as well.`;
  return `The base is ${baseWords(base, form)}. ${licence}`;
}

function baseWords({ name, isOfHub, revision }: CardBase, { kind }: CardForm): string {
  if (isOfHub) {
    return `[${name}](https://huggingface.co/${name})${revision === null ? "" : `, revision \`${revision}\``}`;
  }
  const isNeeded = kind === "adapter" || kind === "gguf-adapter";
  const shown = `\`${name.replace(/[`\p{Control}]/gu, "")}\``;
  return `${shown}, no model of the hub${isNeeded ? ": who loads this needs a copy of it" : ""}`;
}

/** The licence and the languages that a card states. */
export function statedIn(card: string): { readonly license: CardLicense; readonly languages: readonly string[] } {
  const fields = frontMatter(card);
  const license = Object.fromEntries(
    ["license", "license_name", "license_link"].flatMap((key) => {
      const [value] = textsOf(fields[key]);
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
  return { license, languages: textsOf(fields.language) };
}

/** A text or a list of texts of one line. */
function textsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter(
    (each) => typeof each === "string" && /^[^\p{Control}]{1,200}$/u.test(each),
  );
}

function table(head: readonly [string, string], rows: CardFacts["training"]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(plain).join(" | ")} |`;
  return [line(head), "|---|---|", ...rows.map(line)].join("\n");
}

/** Text on one line that Markdown and HTML take for text. */
function plain(text: string): string {
  return text
    .replace(/[\p{Control}\s]+/gu, " ")
    .replace(/[\\`*_{}[\]<>|#]/g, "\\$&")
    .trim();
}
