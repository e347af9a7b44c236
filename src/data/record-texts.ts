import { evenSample, utf8Length } from "../base/even-sample.js";
import type { Records } from "./record-parts.js";
import { textOfRecord } from "./records.js";

/** The texts of records, or about so many bytes of them: whole texts, spread evenly over all. */
export async function sampledTexts(records: Records, sampleBytes: number): Promise<string[]> {
  let bytes = 0;
  for await (const record of records) bytes += utf8Length(textOfRecord(record) ?? "");
  const isChosen = evenSample(sampleBytes, bytes);
  const texts: string[] = [];
  let index = 0;
  for await (const record of records) {
    if (isChosen(index++)) texts.push(copyOf(textOfRecord(record) ?? ""));
  }
  return texts;
}

/** The text in memory of its own: a slice would keep the whole part of the file that it is from. */
function copyOf(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}
