import { append } from "../base/lists.js";
import { tokenBytes } from "./byte-level.js";
import { build, countIn, flagIn, type Part, partsOf, requireBounded, textIn } from "./part.js";
import { Pattern } from "./pattern.js";

/** Turns tokens into pieces of text. */
export type Decoder = (tokens: readonly string[]) => string[];

/** The decoder that a tokenizer.json describes. @throws Error for one that is not known. */
export function decoderOf(part: Part | null): Decoder | null {
  return part === null ? null : sequence([build(KINDS, part, "decoder")]);
}

function sequence(steps: readonly Decoder[]): Decoder {
  return (tokens) => {
    const given = charactersIn(tokens);
    let result = [...tokens];
    for (const step of steps) {
      result = step(result);
      requireBounded(charactersIn(result), given, "decoder");
    }
    return result;
  };
}

function charactersIn(tokens: readonly string[]): number {
  return tokens.reduce((sum, { length }) => sum + length, 0);
}

const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

const KINDS: Readonly<Record<string, (part: Part) => Decoder>> = {
  Sequence: (part) => sequence(partsOf(part, "decoders").map((each) => build(KINDS, each, "decoder"))),
  ByteLevel: () => (tokens) => [lossy.decode(Uint8Array.from(tokens.flatMap((token) => [...tokenBytes(token)])))],
  ByteFallback: () => byteFallback,
  Fuse: () => (tokens) => [tokens.join("")],
  Replace: (part) => {
    const [pattern, content] = [Pattern.of(part.pattern), textIn(part, "content")];
    return (tokens) => tokens.map((token) => pattern.replace(token, content));
  },
  Strip: (part) => {
    const [content, start, stop] = [textIn(part, "content"), countIn(part, "start"), countIn(part, "stop")];
    return (tokens) => tokens.map((token) => stripped(token, content, { start, stop }));
  },
  Metaspace: (part) => {
    const replacement = textIn(part, "replacement", "\u2581");
    const scheme = textIn(part, "prepend_scheme", flagIn(part, "add_prefix_space", true) ? "always" : "never");
    return (tokens) =>
      tokens.map((token, i) => token.replaceAll(replacement, i === 0 && scheme !== "never" ? "" : " "));
  },
  BPEDecoder: (part) => {
    const suffix = textIn(part, "suffix", "</w>");
    return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? "" : " "));
  },
  WordPiece: (part) => {
    const prefix = textIn(part, "prefix", "##");
    const cleanUp = flagIn(part, "cleanup", true) ? withContractions : (text: string) => text;
    return (tokens) =>
      tokens.map((token, i) => {
        if (i === 0) return cleanUp(token);
        return cleanUp(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
      });
  },
};

const BYTE_TOKEN = /^<0x[0-9A-Fa-f]{2}>$/;

/** Joins tokens such as <0x0A> to characters; each byte of what is not UTF-8 becomes U+FFFD. */
function byteFallback(tokens: readonly string[]): string[] {
  const pieces: string[] = [];
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length === 0) return;
    try {
      pieces.push(strict.decode(Uint8Array.from(bytes)));
    } catch {
      append(
        pieces,
        bytes.map(() => "\ufffd"),
      );
    }
    bytes = [];
  };
  for (const token of tokens) {
    if (BYTE_TOKEN.test(token)) bytes.push(Number.parseInt(token.slice(3, 5), 16));
    else {
      flush();
      pieces.push(token);
    }
  }
  flush();
  return pieces;
}

/** Drops at most so many of a character at either end. */
function stripped(token: string, content: string, { start, stop }: { start: number; stop: number }): string {
  const characters = [...token];
  let [from, to] = [0, characters.length];
  while (from < Math.min(start, characters.length) && characters[from] === content) from++;
  while (to > Math.max(from, characters.length - stop) && characters[to - 1] === content) to--;
  return characters.slice(from, to).join("");
}

/** Drops the spaces that WordPiece leaves before punctuation and in contractions. */
export function cleanedUp(text: string): string {
  return text
    .replaceAll(" .", ".")
    .replaceAll(" ?", "?")
    .replaceAll(" !", "!")
    .replaceAll(" ,", ",")
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

function withContractions(text: string): string {
  return cleanedUp(text).replaceAll(" do not", " don't");
}
