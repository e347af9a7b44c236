import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { runCampaign } from "./kill/campaign.js";
import { killableRuns } from "./kill/runs.js";

// `npm run kill` kills more runs, and more of each.
test("runs killed at random moments and resumed end bit for bit as they would have", { timeout: 900_000 }, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-kill-"));
  const runs = await killableRuns(folder);
  const { kills, findings } = await runCampaign(runs.slice(0, 2), { kills: 15, seed: 1, folder });
  expect(findings).toEqual([]);
  expect(kills.filter(({ resumed, equal }) => resumed && equal)).toHaveLength(15);
  expect(new Set(kills.map(({ phase }) => phase)).size).toBeGreaterThan(8);
  await rm(folder, { recursive: true });
});
