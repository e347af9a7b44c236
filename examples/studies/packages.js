import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Installs npm packages into a temporary folder, without running any of their scripts, and gives their folder to `use`.
 * @param {string[]} packages with their versions
 * @param {(modules: string) => void} use
 */
export function withPackages(packages, use) {
  const folder = mkdtempSync(join(tmpdir(), "highrank-packages-"));
  try {
    const quiet = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    execFileSync("npm", ["install", ...quiet, "--prefix", folder, ...packages], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    use(join(folder, "node_modules"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
