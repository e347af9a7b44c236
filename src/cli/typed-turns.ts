/** Stands in a line of its own before and after a turn of several lines. */
export const BLOCK = '"""';

/**
 * Joins typed lines to turns: a line that ends in a backslash goes on in the next one, and so do all lines between two
 * lines of `"""`. Lines without text are no turns.
 * @param onLine hears after each line whether the turn goes on.
 */
export async function* typedTurns(
  lines: AsyncIterable<string>,
  onLine: (goesOn: boolean) => void = () => {},
): AsyncGenerator<string, void, undefined> {
  let held: string[] = [];
  let isBlock = false;
  for await (const line of lines) {
    const isMark = line.trim() === BLOCK;
    const isContinued = !isBlock && line.endsWith("\\");
    if (isMark) isBlock = !isBlock;
    else held.push(isContinued ? line.slice(0, -1) : line);
    const goesOn = isBlock || isContinued;
    if (!goesOn) {
      const turn = held.join("\n");
      held = [];
      if (turn.trim() !== "") yield turn;
    }
    onLine(goesOn);
  }
  // The input ended within the turn.
  if (held.join("").trim() !== "") yield held.join("\n");
}
