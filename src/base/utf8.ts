/** The number of the first line, from 1, that is no UTF-8, in bytes that may begin and end within a character. */
export function lineOfBadUtf8(bytes: Uint8Array): number {
  let from = 0;
  // At most three bytes continue a character that began before.
  while (from < 3 && (bytes[from]! & 0xc0) === 0x80) from++;
  for (let line = 1; from <= bytes.length; line++) {
    const end = bytes.indexOf(LINE_FEED, from);
    const isLast = end < 0;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(from, isLast ? bytes.length : end), {
        stream: isLast,
      });
    } catch {
      return line;
    }
    if (isLast) break;
    from = end + 1;
  }
  return 1;
}

/** The byte that ends a line. */
export const LINE_FEED = 10;

/** False for a text with half of a surrogate pair, which no UTF-8 stands for: it would become U+FFFD. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
