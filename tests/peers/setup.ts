import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { peersPython } from "./environment.js";

declare module "vitest" {
  interface ProvidedContext {
    /** Socket of the Python process, or null without the libraries. */
    readonly peersSocket: string | null;
  }
}

/** Starts the one Python process that all test files of the suite ask; imports of torch and the like are made once. */
export default async function setup(project: TestProject): Promise<() => void> {
  const python = peersPython();
  if (python === null) {
    project.provide("peersSocket", null);
    return () => {};
  }
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-peers-"));
  const socket = path.join(folder, "socket");
  const child = spawn(python, [fileURLToPath(new URL("python/serve.py", import.meta.url)), socket], {
    stdio: ["pipe", "inherit", "inherit"],
    env: {
      ...{ ...process.env, HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" },
      // Tests compute beside it: a thread that waits gives its core away.
      ...{ OMP_NUM_THREADS: "2", OMP_WAIT_POLICY: "PASSIVE" },
    },
  });
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`python/serve.py ended with ${child.exitCode}`);
    await sleep(50);
  }
  project.provide("peersSocket", socket);
  return () => {
    child.kill();
    rmSync(folder, { recursive: true });
  };
}
