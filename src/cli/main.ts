#!/usr/bin/env node
import process from "node:process";
import { runCommandLine } from "./program.js";
import { programName } from "./program-name.js";

// A reader that has seen enough (`highrank inspect … | head`), or a terminal that was closed, is no error. Work that
// can be interrupted is, so that a run saves what it has.
let readerIsGone = false;
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    if (readerIsGone) return;
    readerIsGone = true;
    if (process.listenerCount("SIGTERM") > 0) process.kill(process.pid, "SIGTERM");
    else process.exit(0);
  });
}

const { stdin, stdout, stderr, env } = process;
const surroundings = { stdin, stdout, stderr, env, name: await programName(env) };
process.exitCode = await runCommandLine(process.argv.slice(2), surroundings);
