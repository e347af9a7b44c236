import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * The interpreter that has the libraries of requirements.txt, or null, with a warning, if they are not installed.
 * @throws where CI=true, so that nothing is skipped there.
 */
export function peersPython(): string | null {
  const program = fileURLToPath(new URL("prepare.js", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "--where"], { encoding: "utf8" });
  if (status === 0) return stdout.trim();
  if (process.env.CI === "true") throw new Error(stderr);
  console.warn(`SKIPPING the comparisons with Python's libraries: ${stderr.trim()}`);
  return null;
}
