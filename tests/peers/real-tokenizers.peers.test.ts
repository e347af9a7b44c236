import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TextStream } from "../../src/tokenizers/text-stream.js";
import { Tokenizer } from "../../src/tokenizers/tokenizer.js";
import { strangeTexts } from "../tokenizer-text.js";
import { ask, describePeers } from "./peer.js";
import { REAL_TOKENIZERS, realTokenizer } from "./real-tokenizers.js";

/** UTF-16 units of text. HIGHRANK_TOKENIZER_TEXT names another number, for which each tokenizer reports its count. */
const ASKED = process.env.HIGHRANK_TOKENIZER_TEXT;
const SIZE = Number(ASKED ?? 400_000);

describePeers("tokenizers of published models against the library tokenizers", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-tokenizers-"));
  const file = path.join(folder, "texts.json");
  const texts = strangeTexts(SIZE, 7);
  beforeAll(() => writeFileSync(file, JSON.stringify(texts)));
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(REAL_TOKENIZERS)("%s: ids, decoded text, and text token by token", { timeout: 600_000 }, async (name) => {
    const tokenizer = path.join(await realTokenizer(name), "tokenizer.json");
    const ours = Tokenizer.fromJson(JSON.parse(readFileSync(tokenizer, "utf8")));
    const theirs = await ask<{ ids: string; decoded: string }>("tokenizer_peers", "encode_file", {
      tokenizer,
      texts: file,
    });
    const ids = readIds(theirs.ids);
    const decoded = JSON.parse(readFileSync(theirs.decoded, "utf8"));
    expect(ids).toHaveLength(texts.length);
    const differing = texts.filter((text, i) => {
      const own = ours.encode(text);
      return own.length !== ids[i]!.length || own.some((id, k) => id !== ids[i]![k]);
    });
    if (ASKED !== undefined) {
      const tokens = ids.reduce((sum, { length }) => sum + length, 0);
      console.log(`${name}: ${tokens} tokens of ${texts.length} texts, ${differing.length} texts differ`);
    }
    expect(differing).toEqual([]);
    expect(ids.map((each) => ours.decode(each))).toEqual(decoded);
    // The last texts are of words; characters one after another are mostly incomplete.
    const said = ids.slice(-20).flatMap((each) => [...each]);
    const stream = new TextStream(ours);
    const pieces = said.map((id) => stream.push(id));
    expect(pieces).toEqual(await ask("tokenizer_peers", "stream", { tokenizer, ids: said }));
    expect(pieces.join("") + stream.end()).toBe(ours.decode(said));
  });
});

/** Reads what `_write` of tokenizer_peers.py writes: the number of lists, their lengths, and all ids. */
function readIds(file: string): Int32Array[] {
  const bytes = readFileSync(file);
  const numbers = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const count = numbers[0]!;
  let end = 1 + count;
  return Array.from(numbers.subarray(1, end), (length) => {
    end += length;
    return numbers.subarray(end - length, end);
  });
}
