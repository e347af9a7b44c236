import { expect, test } from "vitest";
import { typedTurns } from "./typed-turns.js";

async function turnsOf(text: string): Promise<{ turns: string[]; goesOn: boolean[] }> {
  async function* lines(): AsyncGenerator<string> {
    yield* text.split("\n");
  }
  const [turns, goesOn]: [string[], boolean[]] = [[], []];
  for await (const turn of typedTurns(lines(), (more) => goesOn.push(more))) turns.push(turn);
  return { turns, goesOn };
}

test.each([
  ["a line is a turn, and an empty one none", "a\n\n  \nb ", ["a", "b "]],
  ["a backslash at the end goes on", "a \\\nb\\\nc\nd", ["a \nb\nc", "d"]],
  ["a block holds its lines as they are", '"""\na\n\n b\\\n"""\nc', ["a\n\n b\\", "c"]],
  ["a block of nothing is no turn", '"""\n"""\na', ["a"]],
  ["an end within a turn ends it", '"""\na\nb', ["a\nb"]],
  ["an end after a backslash ends it", "a\\", ["a"]],
])("%s", async (_, text, expected) => {
  expect((await turnsOf(text)).turns).toEqual(expected);
});

test("after each line it is told whether the turn goes on", async () => {
  expect((await turnsOf('a\nb\\\nc\n"""\nd\n"""')).goesOn).toEqual([false, true, false, true, true, false]);
});
