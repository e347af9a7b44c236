import { expect, test } from "vitest";
import { COMPLETION_FORMAT } from "./answers.js";

test("likeliest tokens keep names of their own, whatever their texts", () => {
  const score = (id: number, text: string, logprob: number) => ({ id, text, logprob });
  const likeliest = [score(7, "�", -1), score(8, "a", -2), score(9, "�", -3), score(10, "a", -4)];
  const tokens = [
    { ...likeliest[0]!, offset: 0, likeliest },
    { ...likeliest[3]!, offset: 1, likeliest },
    { ...score(11, "b", -9), offset: 2, likeliest },
  ];
  const choice = { index: 0, text: "é", tokens, finish: "length" } as const;
  const top = { "token_id:7": -1, a: -2, "token_id:9": -3, "token_id:10": -4 };
  expect(COMPLETION_FORMAT.choice(choice, true)).toMatchObject({
    logprobs: {
      tokens: ["token_id:7", "token_id:10", "b"],
      token_logprobs: [-1, -4, -9],
      top_logprobs: [top, top, top],
    },
  });
});
