import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Debian's Chromium brings a Vulkan loader and SwiftShader, a Vulkan driver in software. */
const CHROMIUM = "/usr/lib/chromium";
const DRIVER = join(CHROMIUM, "vk_swiftshader_icd.json");

const isMissing = !existsSync(DRIVER);
if (isMissing && process.env.CI !== "true") {
  console.warn(`SKIPPED: the WebGPU tests need ${DRIVER} from Debian's package chromium`);
}

test.skipIf(isMissing && process.env.CI !== "true")(
  "every test in tests/webgpu passes on SwiftShader",
  () => {
    const root = join(dirname(fileURLToPath(import.meta.url)), "..");
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
    // Both variables are read when a process starts, so the tests run in one of their own.
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [vitest, "run", "--config", join("tests", "webgpu", "vitest.config.ts"), "--reporter=verbose"],
      { cwd: root, env: { ...process.env, LD_LIBRARY_PATH: CHROMIUM, VK_ICD_FILENAMES: DRIVER }, encoding: "utf8" },
    );
    expect(status, `${stdout}${stderr}`).toBe(0);
  },
  400_000,
);
