/**
 * Pre-tokens of GPT-2's byte-pair merging: contractions, words, numbers and signs with one leading space, white space.
 */
export const PRE_TOKEN_PATTERN: RegExp = new RegExp(
  ["'s|'t|'re|'ve|'m|'ll|'d", " ?\\p{L}+", " ?\\p{N}+", " ?[^\\p{White_Space}\\p{L}\\p{N}]+"]
    .concat("\\p{White_Space}+(?!\\P{White_Space})", "\\p{White_Space}+")
    .join("|"),
  "gu",
);

/**
 * Characters of the bytes in a byte-level vocabulary (GPT-2, Radford et al. 2019), indexed by byte. Printable Latin-1
 * characters stand for themselves; the other 68 bytes take U+0100 onwards in order.
 */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

const BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

const encoder = new TextEncoder();

/** The bytes of a text in UTF-8, as their characters. */
export function toByteCharacters(text: string): string {
  let characters = "";
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) return characters + charactersOfBytes(text.slice(at));
    characters += BYTE_CHARACTERS[unit]!;
  }
  return characters;
}

function charactersOfBytes(text: string): string {
  let characters = "";
  for (const byte of encoder.encode(text)) characters += BYTE_CHARACTERS[byte]!;
  return characters;
}

/** The bytes that a token stands for; one with any other character stands for itself. */
export function tokenBytes(token: string): readonly number[] | Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTES.get(character);
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return bytes;
}
