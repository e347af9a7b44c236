import { test } from "vitest";
import { expectSameBits } from "./kill/expect-same-bits.js";

// The suite `crash` kills more, and `npm run kill` still more.
test("a run killed at random moments and resumed ends bit for bit as it would have", async () => {
  await expectSameBits({ runs: 1, kills: 4, phases: 2 });
});
