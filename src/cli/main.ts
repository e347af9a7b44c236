#!/usr/bin/env node
import { closeSync } from "node:fs";
import process from "node:process";
import { isatty } from "node:tty";
import { launcherOf } from "../distributed/launcher.js";
import { isFailure } from "./exit-codes.js";
import { runCommandLine } from "./program.js";
import { programName } from "./program-name.js";
import { RankLog } from "./rank-log.js";

// At its end Node.js 20 restores terminals, and aborts where one is gone, unless it is closed.
const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
process.on("exit", () => {
  for (const descriptor of terminals) if (!isatty(descriptor)) closeSync(descriptor);
});

const { stdin, stdout, stderr, env } = process;
const launcher = launcherOf(env);
const log = launcher === null || launcher.rank === 0 ? null : new RankLog(launcher, stderr);
const streams = log === null ? { stdout, stderr } : { stdout: log, stderr: log };
const surroundings = { stdin, ...streams, env, name: await programName(env), launcher, log };
const code = await runCommandLine(process.argv.slice(2), surroundings);
if (log !== null && isFailure(code)) await log.end(code);
process.exitCode = code;
// Of a job, a rank that failed ends at once, and so ends the others, which may wait for it.
if (launcher !== null && isFailure(code)) process.exit();
