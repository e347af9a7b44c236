import { Tokenizer } from "@huggingface/tokenizers";

/**
 * A regular expression of Oniguruma's as one of JavaScript's.
 * @throws Error for what JavaScript has no words for.
 */
export function translated(source: string): RegExp {
  const part = { type: "Split", pattern: { Regex: withoutAtomicGroups(source) }, behavior: "Isolated", invert: false };
  const model = { type: "BPE", vocab: { a: 0 }, merges: [] };
  const empty = { model, added_tokens: [], normalizer: null, post_processor: null, decoder: null };
  return new Tokenizer({ ...empty, pre_tokenizer: part }, {}).pre_tokenizer.pattern;
}

/** The beginning of a group, an escape, a quantifier with what makes it lazy or possessive, or any character. */
const TOKEN = /\((?:\?(?:<?[=!]|<[A-Za-z_]\w*>|[a-z-]*:|[>:]))?|\\(?:[pPxku]\{[^}]*\}|[\s\S])|[*+?][+?]?|[\s\S]/y;

/**
 * Says atomic groups, and possessive quantifiers, which are such groups, by means of JavaScript: what a lookahead has
 * captured is not given back. `{1,3}+` is not possessive in this syntax.
 */
function withoutAtomicGroups(source: string): string {
  if (!/[*+?]\+|\(\?>/.test(source)) return source;
  if (/\\[1-9]/.test(source)) throw new Error(`a pattern with atomic groups must not refer to others: ${source}`);
  let [out, atom, groups] = ["", 0, 0];
  const open: { start: number; isAtomic: boolean }[] = [];
  const atomic = (start: number, content: string): void => {
    const name = `atomic${++groups}`;
    out = `${out.slice(0, start)}(?:(?=(?<${name}>${content}))\\k<${name}>)`;
  };
  for (let at = 0; at < source.length; ) {
    TOKEN.lastIndex = at;
    const token = source[at] === "[" ? source.slice(at, endOfClass(source, at)) : TOKEN.exec(source)![0];
    at += token.length;
    if (token.startsWith("(")) {
      open.push({ start: out.length, isAtomic: token === "(?>" });
      if (token !== "(?>") out += token;
    } else if (token === ")") {
      const { start, isAtomic } = open.pop() ?? { start: 0, isAtomic: false };
      if (isAtomic) atomic(start, out.slice(start));
      else out += token;
      atom = start;
    } else if (/^[*+?]\+$/.test(token)) atomic(atom, out.slice(atom) + token[0]);
    else {
      if (!/^(?:[*+?]\??|[{}])$/.test(token) && !/\{[\d,]*$/.test(out)) atom = out.length;
      out += token;
    }
  }
  return out;
}

/** The place behind the character class that begins here; classes may stand in classes. */
function endOfClass(source: string, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === "[") depth++;
    else if (source[at] === "]" && !/^\[\^?$/.test(source.slice(start, at)) && --depth === 0) return at + 1;
  }
  return source.length;
}
