import { Rng } from "../src/tensor/random.js";

/** First and last letters of ten scripts. */
const SCRIPTS: readonly (readonly [number, number])[] = [
  ...([
    [0x61, 0x7a],
    [0xc0, 0x24f],
    [0x370, 0x3ff],
    [0x400, 0x4ff],
    [0x5d0, 0x5ea],
    [0x620, 0x6d3],
  ] as const),
  ...([
    [0x900, 0x97f],
    [0xe00, 0xe5b],
    [0x3041, 0x30ff],
    [0xac00, 0xd7a3],
    [0x4e00, 0x9fff],
  ] as const),
];

/** Pieces that tokenizers treat in ways of their own. */
const PIECES: readonly string[] = [
  ..."🙂 👩‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 e\u0301 a\u0308\u0323 Z\u0351\u036f ş\u0307 \u1100\u1161\u11a8 \ufb01 Ⅷ ½ ² ９ ① ㎏ İ ſ ΑΣ ςσ ß".split(
    " ",
  ),
  ..."it's I'M they'LL we've don't 'TIS O'Neil 1,234.56 -17 0xFF 3.14e-10 2026-11-29 12345678901234567890".split(" "),
  ...["\u00a0", "\u0085", "\u2028", "\u3000", "\ufeff", "\u200b", "\u200d", "\u00ad", "\ufffd", "\ufffe", "\u{10ffff}"],
  ...[
    "\0",
    "\u0001",
    "\u0007",
    "\u001b",
    "\u007f",
    "\t",
    "\r\n",
    "\n",
    "\n\n\n",
    "  ",
    "\u0378",
    "\u2581",
    "\u2581\u2581",
  ],
  ...[
    "for (let i = 0; i < n; i++) {\n\t\tx[i] += 1;\n}",
    "def f(a, *b):\n    return {**a}  # …",
    "</s>",
    "<s>",
    "[INST]",
  ],
  ...[
    "https://a.example/b?c=d&e=%20f#g",
    "<|endoftext|>",
    "<|im_start|>user\n",
    "<bos>",
    "<unk>",
    "<0x0A>",
    " ".repeat(37),
  ],
  ...[
    "=".repeat(70),
    "\n".repeat(19),
    "!!!???...",
    "``` ",
    "\\n",
    '"quoted"',
    "snake_case CamelCase kebab-case",
    "A\u030a",
  ],
];

/**
 * Texts of words in ten scripts, numbers, code, emoji, and every character there is: the first texts go through all of
 * Unicode, the others draw from it.
 * @param size number of UTF-16 units in all, about.
 */
export function strangeTexts(size: number, seed: number): string[] {
  const rng = new Rng(seed, "strange-text");
  const texts: string[] = [];
  let total = 0;
  const step = Math.max(1, Math.round(0x110000 / (size / 4)));
  for (let code = rng.below(step); code < 0x110000 && total < size / 2; ) {
    let text = "";
    for (let i = 0; i < 400 && code < 0x110000; i++, code += step) {
      // Private planes and the unassigned ones between say little; a tenth of them will do.
      if (code >= 0xd800 && code < 0xe000) continue;
      if (code > 0x323b0 && code % 16 > 0) continue;
      text += (i % 7 === 0 ? " " : "") + String.fromCodePoint(code);
    }
    texts.push(text);
    total += text.length;
  }
  while (total < size) {
    const text = Array.from({ length: 1 + rng.below(200) }, () => piece(rng)).join("");
    texts.push(text);
    total += text.length;
  }
  return texts;
}

function piece(rng: Rng): string {
  const kind = rng.below(10);
  if (kind < 6) {
    const [first, last] = SCRIPTS[rng.below(SCRIPTS.length)]!;
    const letters = Array.from({ length: 1 + rng.below(9) }, () =>
      String.fromCodePoint(first + rng.below(last - first + 1)),
    );
    const word = letters.join("");
    return (rng.below(5) > 0 ? " " : "") + (rng.below(6) === 0 ? word.toUpperCase() : word);
  }
  if (kind === 6) return ` ${rng.below(10 ** (1 + rng.below(6)))}`;
  if (kind === 7) return " ".repeat(rng.below(4)) + PIECES[rng.below(PIECES.length)]!;
  if (kind === 8) return PIECES[rng.below(PIECES.length)]!;
  const code = rng.below([0x80, 0x800, 0x10000, 0x20000][rng.below(4)]!);
  return code >= 0xd800 && code < 0xe000 ? "\n" : String.fromCodePoint(code);
}
