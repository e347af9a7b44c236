import { expect } from "vitest";
import { normalized } from "./campaign.js";
import type { CaseResult, CaseRunner } from "./case.js";

/** Runs the target's samples and so many damaged ones, and expects refusals of several kinds and no finding. */
export async function expectErrorsOfOurOwn(runner: CaseRunner, cases: number): Promise<void> {
  await runner.runSamples();
  const results: CaseResult[] = [];
  for (let seed = 1; seed <= cases; seed++) results.push(await runner.run(seed));
  expect(results.filter(({ outcome }) => outcome === "finding")).toEqual([]);
  // Changes that nothing refuses, or that the same check refuses each time, would test nothing.
  const refused = results.filter(({ outcome }) => outcome === "refused");
  expect(refused.length).toBeGreaterThan(cases / 10);
  expect(new Set(refused.map(({ message }) => normalized(message))).size).toBeGreaterThan(Math.min(5, cases / 20));
}
