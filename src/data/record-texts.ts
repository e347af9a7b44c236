import type { Records } from "./record-parts.js";
import { textOfRecord } from "./records.js";

/** The texts of records, or about so many bytes of them: whole texts, spread evenly over all. */
export async function sampledTexts(records: Records, sampleBytes: number): Promise<string[]> {
  let bytes = 0;
  for await (const record of records) bytes += utf8Length(textOfRecord(record) ?? "");
  const share = Math.min(1, sampleBytes / Math.max(1, bytes));
  const texts: string[] = [];
  let index = 0;
  for await (const record of records) {
    if (Math.floor((index + 1) * share) > Math.floor(index * share)) texts.push(copyOf(textOfRecord(record) ?? ""));
    index++;
  }
  return texts;
}

/** The text in memory of its own: a slice would keep the whole part of the file that it is from. */
function copyOf(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

/** Bytes of a text in UTF-8, where a lone surrogate takes as many as U+FFFD. */
function utf8Length(text: string): number {
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
