import { expect, test } from "vitest";
import type { Piece } from "./messages.js";
import { Pieces } from "./pieces.js";

function heard(use: (pieces: Pieces) => void, likeliest: number | null = 1): [text: string, tokens: string[]][] {
  const posted: Piece[] = [];
  const pieces = new Pieces(
    likeliest,
    (id) => `<${id}>`,
    (piece) => posted.push(piece),
  );
  use(pieces);
  return posted.map(({ text, tokens }) => [text, tokens.map((token) => token.text)]);
}

const token = (id: number, offset: number) => ({ id, logprob: -1, offset, likeliest: [{ id, logprob: -1 }] });

test("tokens come with the piece in which they begin", () => {
  const posted = heard((pieces) => {
    pieces.listener!.onToken(token(1, 0));
    pieces.push("ab");
    pieces.listener!.onToken(token(2, 2)); // the first half of a character
    pieces.listener!.onToken(token(3, 2));
    pieces.push("é");
    pieces.end(false);
  });
  expect(posted).toEqual([
    ["ab", ["<1>"]],
    ["é", ["<2>", "<3>"]],
  ]);
});

test("at a stop text tokens that are no part of the answer are left out, at other ends they come last", () => {
  const write = (isStopped: boolean) =>
    heard((pieces) => {
      pieces.listener!.onToken(token(1, 0));
      pieces.listener!.onToken(token(2, 2));
      pieces.push("ab");
      pieces.end(isStopped);
    });
  expect(write(true)).toEqual([["ab", ["<1>"]]]);
  expect(write(false)).toEqual([
    ["ab", ["<1>"]],
    ["", ["<2>"]],
  ]);
  expect(heard((pieces) => pieces.push("ab"), null)).toEqual([["ab", []]]);
});
