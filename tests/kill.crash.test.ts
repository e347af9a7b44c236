import { test } from "vitest";
import { expectSameBits } from "./kill/expect-same-bits.js";

test("runs killed at random moments and resumed end bit for bit as they would have", { timeout: 900_000 }, async () => {
  await expectSameBits({ runs: 2, kills: 30, phases: 9 });
});
