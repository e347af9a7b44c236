import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "vitest";
import { runCampaign } from "./campaign.js";
import { killableRuns } from "./runs.js";

/** Kills the first runs of the campaign, resumes them, and expects the bits of the unbroken runs, in at least so many phases. */
export async function expectSameBits(wanted: { runs: number; kills: number; phases: number }): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-kill-"));
  const runs = await killableRuns(folder);
  const { kills, findings } = await runCampaign(runs.slice(0, wanted.runs), { kills: wanted.kills, seed: 1, folder });
  expect(findings).toEqual([]);
  expect(kills.filter(({ resumed, equal }) => resumed && equal)).toHaveLength(wanted.kills);
  expect(new Set(kills.map(({ phase }) => phase)).size).toBeGreaterThanOrEqual(wanted.phases);
  await rm(folder, { recursive: true });
}
