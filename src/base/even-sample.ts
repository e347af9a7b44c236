/**
 * Chooses items by their numbers from 0 on, spread evenly, so that they have about `wanted` of `total` bytes. All of
 * them where there are no more.
 */
export function evenSample(wanted: number, total: number): (index: number) => boolean {
  const share = Math.min(1, wanted / Math.max(1, total));
  return (index) => Math.floor((index + 1) * share) > Math.floor(index * share);
}

/** Bytes of a text in UTF-8, where a lone surrogate takes as many as U+FFFD. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    const isPair = (unit & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
    // A pair of two units has four bytes.
    length += unit < 0x800 ? 1 : 2;
    if (isPair) at++;
  }
  return length;
}
