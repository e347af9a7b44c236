#!/usr/bin/env node
import process from "node:process";
import { runCommandLine } from "./program.js";

// A reader that has seen enough (`highrank inspect … | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await runCommandLine(process.argv.slice(2), process);
