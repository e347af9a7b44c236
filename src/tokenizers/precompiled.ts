/** Longest grapheme, in bytes, that is looked up as a whole. */
const LONGEST_GRAPHEME = 5;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The character map of a SentencePiece model: a double-array trie from bytes to places in a list of replacements, each
 * with a zero byte after it.
 * @param base64 the `precompiled_charsmap` of a tokenizer.json.
 * @throws Error if it is cut off.
 */
export function precompiled(base64: string): (text: string) => string {
  const data = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(data.buffer);
  const trieBytes = data.length < 4 ? 0 : view.getUint32(0, true);
  if (trieBytes < 4 || trieBytes + 4 > data.length) throw new Error("precompiled_charsmap is cut off");
  const trie = Uint32Array.from({ length: trieBytes >> 2 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = data.subarray(4 + trieBytes);
  const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });

  /** The replacement of the shortest beginning that has one. */
  const replacementOf = (text: string): string | undefined => {
    let node = offsetOf(trie[0]!);
    for (const byte of encoder.encode(text)) {
      if (byte === 0) break;
      node ^= byte;
      const unit = trie[node] ?? 0;
      if ((unit & 0x800000ff) !== byte) return undefined;
      node ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 0) continue;
      const start = (trie[node] ?? 0) & 0x7fffffff;
      const end = replacements.indexOf(0, start);
      return decoder.decode(replacements.subarray(start, end < 0 ? undefined : end));
    }
    return undefined;
  };

  return (text) => {
    let result = "";
    for (const { segment } of segmenter.segment(text)) {
      const whole = encoder.encode(segment).length <= LONGEST_GRAPHEME ? replacementOf(segment) : undefined;
      if (whole !== undefined) result += whole;
      else for (const character of segment) result += replacementOf(character) ?? character;
    }
    return result;
  };
}

function offsetOf(unit: number): number {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
}
