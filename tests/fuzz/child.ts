// Runs cases of one target in a process of its own and tells the parent of each. Started by campaign.ts.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { guardAllocations } from "./allocation-guard.js";
import type { CampaignMessage } from "./campaign.js";
import { CaseRunner } from "./case.js";
import { SiteCoverage } from "./fault-sites.js";
import { targetNamed } from "./targets.js";

const [name, seed, cases] = process.argv.slice(2) as [string, string, string];
const tell = (message: CampaignMessage): void => void process.send!(message);
const target = targetNamed(name);
const folder = await mkdtemp(path.join(tmpdir(), "highrank-fuzz-"));
try {
  const runner = await CaseRunner.prepare(target, folder, guardAllocations());
  const coverage = new SiteCoverage();
  await runner.runSamples();
  for (let i = 0; i < Number(cases); i++) {
    tell({ kind: "start", seed: Number(seed) + i });
    tell({ kind: "result", result: await runner.run(Number(seed) + i) });
  }
  tell({ kind: "end", sites: coverage.take(target.sources), peakBytes: process.resourceUsage().maxRSS * 1024 });
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.disconnect();
