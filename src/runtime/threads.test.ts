import { expect, test } from "vitest";
import { forCommandLine } from "../base/naming.js";
import { threadsWarning } from "./threads.js";

test("threads far beyond the cores are warned of", () => {
  expect(forCommandLine(threadsWarning(256, 2)!)).toMatch(/^--threads 256 on 2 cores: .* slower/);
  expect([threadsWarning(8, 2), threadsWarning(4, 1), threadsWarning(null, 1)]).toEqual([null, null, null]);
});
