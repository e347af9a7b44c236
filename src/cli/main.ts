#!/usr/bin/env node
import { closeSync } from "node:fs";
import process from "node:process";
import { isatty } from "node:tty";
import { runCommandLine } from "./program.js";
import { programName } from "./program-name.js";

// At its end Node.js 20 restores terminals, and aborts where one is gone, unless it is closed.
const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
process.on("exit", () => {
  for (const descriptor of terminals) if (!isatty(descriptor)) closeSync(descriptor);
});

const { stdin, stdout, stderr, env } = process;
const surroundings = { stdin, stdout, stderr, env, name: await programName(env) };
process.exitCode = await runCommandLine(process.argv.slice(2), surroundings);
