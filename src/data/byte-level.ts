/**
 * Pre-tokens of GPT-2's byte-pair merging: contractions, words, numbers and signs with one leading space, white space.
 */
export const PRE_TOKEN_PATTERN: RegExp = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

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
