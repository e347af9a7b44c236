import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { runCampaign } from "./fuzz/campaign.js";
import { TARGETS } from "./fuzz/targets.js";

const CASES = 500;
const ROOT = fileURLToPath(new URL("../", import.meta.url));

beforeAll(() => void execFileSync("npm", ["run", "--silent", "fuzz:build"], { cwd: ROOT }));

// Each target in a child process, so that one that hangs or dies is a finding with its seed.
test.concurrent.each(TARGETS.map(({ name }) => name))(
  "whatever is done 500 times to its files, %s gives errors of our own or none",
  { timeout: 1_800_000 },
  async (target) => {
    const child = fileURLToPath(new URL("../dist-fuzz/tests/fuzz/child.js", import.meta.url));
    const { cases, refused, messages, findings } = await runCampaign({ target, seed: 1, cases: CASES, child });
    expect(findings).toEqual([]);
    expect(cases).toBe(CASES);
    // Changes that nothing refuses, or that the same check refuses each time, would test nothing.
    expect(refused).toBeGreaterThan(CASES / 10);
    expect(messages.size).toBeGreaterThan(5);
  },
);
