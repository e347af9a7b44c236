const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const REST = ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;
const BEFORE = "[^\\r\\n\\p{L}\\p{N}]?";
const WORD = `${BEFORE}\\p{L}+`;

// A word with its capitals in front, or of capitals alone.
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const cased = (after: string, digits: string): string =>
  `${BEFORE}${UPPER}*${LOWER}+${after}|${BEFORE}${UPPER}+${LOWER}*${after}|${digits}|` +
  ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`;

/**
 * Regular expressions by which widely used models take texts apart, in Oniguruma's syntax. The time that they take
 * grows with the length of a text and no faster, so they need no limit.
 */
export const KNOWN_PATTERNS = {
  llama3: `${CONTRACTIONS}|${WORD}|\\p{N}{1,3}|${REST}`,
  qwen2: `${CONTRACTIONS}|${WORD}|\\p{N}|${REST}`,
  gpt4o: cased(`${CONTRACTIONS}?`, "\\p{N}{1,3}"),
  /** That of Mistral's newer models. */
  tekken: cased("", "\\p{N}"),
  seedCoder: `${CONTRACTIONS}|${WORD}|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${SPACES}`,
} as const;

const KNOWN: ReadonlySet<string> = new Set(Object.values(KNOWN_PATTERNS));

export function isKnownPattern(source: string): boolean {
  return KNOWN.has(source);
}
