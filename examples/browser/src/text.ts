/** A text to begin with: short sentences of a small world, which a small model can learn. */
export function builtInText(): string {
  const who = ["The fox", "A heron", "The old miller", "My sister", "The night watch", "A small boat", "The gardener"];
  const does = ["follows", "forgets", "repairs", "listens to", "paints", "carries", "waits for"];
  const what = ["the river", "a broken clock", "seven lanterns", "the north wind", "an empty house", "the last train"];
  const when = ["at dawn", "after the rain", "in the long winter", "while the bells ring", "before anyone wakes"];
  const paragraphs: string[] = [];
  for (let i = 0; i < 240; i++) {
    const pick = (list: readonly string[], step: number): string => list[(i * step + (i >> 3)) % list.length]!;
    paragraphs.push(
      `${pick(who, 3)} ${pick(does, 5)} ${pick(what, 7)} ${pick(when, 2)}. ` +
        `Then ${pick(who, 4).toLowerCase()} ${pick(does, 2)} ${pick(what, 11)}, and nobody asks why.`,
    );
  }
  return paragraphs.join("\n\n");
}
