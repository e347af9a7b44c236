import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { RankLog } from "./rank-log.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What a rank that still lives after the first one's time to end it has told. */
async function toldAfter(kind: "open-mpi" | "mpich", code: ExitCode, hasBegun: boolean): Promise<string> {
  let told = "";
  const log = new RankLog({ rank: 1, kind }, { write: (text) => (told += text) });
  log.write("error: no\n");
  if (hasBegun) log.begin();
  const ended = log.end(code);
  expect(told).toBe("");
  await vi.runAllTimersAsync();
  await ended;
  return told;
}

test("a rank tells the error that it alone has", async () => {
  expect(await toldAfter("open-mpi", EXIT.usage, false)).toBe("rank 1: error: no\n");
  expect(await toldAfter("mpich", EXIT.usage, true)).toBe("rank 1: error: no\n");
  expect(await toldAfter("mpich", EXIT.data, false)).toBe("rank 1: error: no\n");
});

test("where the end of the first rank ends no other, errors of usage are left to the first", async () => {
  expect(await toldAfter("mpich", EXIT.usage, false)).toBe("");
});
