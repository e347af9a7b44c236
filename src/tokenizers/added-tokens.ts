import { isObject, shownValue } from "../base/json.js";
import type { Normalizer } from "./normalizers.js";
import { trailingSpace } from "./normalizers.js";
import { flagIn, type Part } from "./part.js";
import { WORD_CHARACTERS } from "./pattern.js";
import { type TrieNode, trieOf } from "./trie.js";
import { UNKNOWN_TO_PATTERNS } from "./unicode-versions.js";

/** A token that is found in a text before anything else is done with it. */
export interface AddedToken {
  readonly content: string;
  /** Only where no word goes on before or after it. */
  readonly singleWord: boolean;
  /** Takes the white space before it along. */
  readonly lstrip: boolean;
  /** Takes the white space after it along. */
  readonly rstrip: boolean;
  /** Is found in the normalized text, in its own normalized form. */
  readonly normalized: boolean;
  /** Marks a text, and can be left out when decoding. */
  readonly special: boolean;
}

/** Reads an entry of `added_tokens`. @throws Error for anything else. */
export function addedTokenOf(value: unknown): AddedToken {
  if (!isObject(value)) throw new Error(`an added token must be an object, not ${shownValue(value)}`);
  const part: Part = value;
  if (typeof part.content !== "string") {
    throw new Error(`an added token must be a text, not ${shownValue(part.content)}`);
  }
  const special = flagIn(part, "special", false);
  return {
    content: part.content,
    singleWord: flagIn(part, "single_word", false),
    lstrip: flagIn(part, "lstrip", false),
    rstrip: flagIn(part, "rstrip", false),
    normalized: flagIn(part, "normalized", !special),
    special,
  };
}

/** The text that an added token is found as and that its id stands for. */
export function writtenForm({ content, normalized }: AddedToken, normalizer: Normalizer | null): string {
  return normalized && normalizer !== null ? normalizer(content) : content;
}

/** A stretch of a text: the id of an added token, or text between them. */
export type Section = { readonly id: number } | { readonly text: string; readonly isFirst: boolean };

const WORD = new RegExp(`(?![${UNKNOWN_TO_PATTERNS}])[${WORD_CHARACTERS}]`, "u");

/** The added tokens of a tokenizer with their ids. */
export class AddedTokens {
  readonly #normalizer: Normalizer | null;
  readonly #original: Finder;
  readonly #normalized: Finder;

  constructor(tokens: ReadonlyMap<number, AddedToken>, normalizer: Normalizer | null) {
    this.#normalizer = normalizer;
    const entries = [...tokens].filter(([, { content }]) => content !== "");
    this.#original = new Finder(
      entries.filter(([, { normalized }]) => !normalized).map(([id, token]) => [token.content, { id, ...token }]),
    );
    this.#normalized = new Finder(
      entries
        .filter(([, { normalized }]) => normalized)
        .map(([id, token]) => [writtenForm(token, normalizer), { id, ...token }]),
    );
  }

  /** Splits a text into added tokens and normalized text. */
  sections(text: string): Section[] {
    return this.#original.sections(text, true).flatMap((section) => {
      if ("id" in section) return [section];
      return this.#normalized.sections(this.#normalizer?.(section.text) ?? section.text, section.isFirst);
    });
  }
}

interface Target extends AddedToken {
  readonly id: number;
}

/** Finds the leftmost, longest of some texts. */
class Finder {
  readonly #root: TrieNode<string, Target>;
  /** UTF-16 units that a text to be found begins with; 1 for such. */
  readonly #beginnings: Uint8Array = new Uint8Array(2 ** 16);
  /** The same as texts. */
  readonly #firstUnits: readonly string[];

  constructor(targets: readonly (readonly [text: string, target: Target])[]) {
    for (const [text] of targets) this.#beginnings[text.charCodeAt(0)] = 1;
    this.#firstUnits = [...new Set(targets.map(([text]) => text[0]!))];
    this.#root = trieOf(targets.map(([text, target]) => [text.split(""), target]));
  }

  sections(text: string, isFirst: boolean): Section[] {
    const sections: Section[] = [];
    let done = 0;
    const pass = (end: number): void => {
      if (done < end) sections.push({ text: text.slice(done, end), isFirst: isFirst && done === 0 });
    };
    for (let start = this.#nextBeginning(text, 0); start < text.length; ) {
      const found = this.#longestAt(text, start);
      const end = found?.end ?? start + 1;
      if (found !== undefined && !(found.target.singleWord && (endsInWord(text, start) || startsWithWord(text, end)))) {
        const { id, lstrip, rstrip } = found.target;
        pass(lstrip ? Math.max(done, start - trailingSpace(text.slice(0, start))) : start);
        sections.push({ id });
        done = rstrip ? end + (/^\p{White_Space}+/u.exec(text.slice(end))?.[0].length ?? 0) : end;
      }
      start = this.#nextBeginning(text, end);
    }
    pass(text.length);
    return sections;
  }

  /** The next place where one of the texts may begin; the text's length if there is none. */
  #nextBeginning(text: string, from: number): number {
    const [beginnings, { length }] = [this.#beginnings, text];
    const units = this.#firstUnits;
    if (units.length === 0) return length;
    if (units.length === 1) {
      // Mostly it is "<", which the engine finds quickly.
      const found = text.indexOf(units[0]!, from);
      return found < 0 ? length : found;
    }
    let at = from;
    while (at < length && beginnings[text.charCodeAt(at)] === 0) at++;
    return at;
  }

  #longestAt(text: string, start: number): { readonly end: number; readonly target: Target } | undefined {
    let found: { end: number; target: Target } | undefined;
    let node = this.#root.children.get(text[start]!);
    for (let end = start + 1; node !== undefined; end++) {
      if (node.value !== undefined) found = { end, target: node.value };
      node = node.children.get(text[end]!);
    }
    return found;
  }
}

function endsInWord(text: string, end: number): boolean {
  if (end === 0) return false;
  const isPair = /[\udc00-\udfff]/.test(text[end - 1]!);
  return WORD.test(text.slice(isPair ? end - 2 : end - 1, end));
}

function startsWithWord(text: string, start: number): boolean {
  return start < text.length && WORD.test(String.fromCodePoint(text.codePointAt(start)!));
}
