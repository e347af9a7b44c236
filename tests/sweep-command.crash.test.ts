import { rm } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { animalText } from "./animal-text.js";
import { runCommand, withFolder } from "./run-command.js";

const SIZES = [
  ...["--model", "tiny", "--data", "text.txt", "--vocab-size", "280", "--batch-size", "2", "--sequence-length", "16"],
  ...["--method", "lora", "--warm-start-steps", "0", "--max-steps", "4", "--eval-tokens", "100"],
  ...["--sample-tokens", "0", "--threads", "1"],
];

test(
  "train --sweep trains with each value, names the best, and goes on where it was stopped",
  { timeout: 300_000 },
  () =>
    withFolder({ "text.txt": animalText() }, async (folder) => {
      const sweep = (...more: string[]) =>
        runCommand(["train", ...SIZES, "--sweep", "lr=1e-5,1e-2", "--rank", "2", ...more], { cwd: folder });
      const planned = await sweep("--dry-run");
      expect(planned).toMatchObject({ code: 0, stderr: "" });
      expect(planned.stdout).toMatch(/^lr-1e-2 +0 +4 +128 +to do$/m);
      expect(planned.stdout).toContain("reference: lr-1e-5, which the others are measured against");
      expect(planned.stdout).toMatch(/^about .* on this machine$/m);

      const { code, stdout } = await sweep();
      expect(code).toBe(0);
      expect(stdout).toMatch(/^lr-1e-2 +1 of 1 +\d\.\d{4} +\d+\.\d+ +-\d\.\d{4}$/m);
      expect(stdout).toMatch(/^best +lr-1e-2, held-out loss \d\.\d{4}: studies\/sweep-lr\/runs\/lr-1e-2\/seed-0$/m);
      expect(stdout).toContain("lr 1e-2 is the largest that was tried: try larger ones");

      await rm(path.join(folder, "studies/sweep-lr/runs/lr-1e-2"), { recursive: true });
      const again = await sweep("--json");
      expect(again.stderr).toContain("1 to do, 1 done");
      expect(JSON.parse(again.stdout).summary.best.arm).toBe("lr-1e-2");

      const sideBySide = await runCommand(["compare", "studies/sweep-lr", "--json"], { cwd: folder });
      const { best, settings } = JSON.parse(sideBySide.stdout);
      expect(best).toBe("studies/sweep-lr/runs/lr-1e-2/seed-0");
      expect(settings.map(({ key }: { key: string }) => key)).toEqual(["lr", "adapterLr"]);
    }),
);
