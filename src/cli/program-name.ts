import path from "node:path";
import process from "node:process";
import { runtimeVersions } from "#platform";
import type { Environment } from "./terminal.js";

/** The words with which each runtime starts a file. */
const STARTS: Readonly<Record<string, string>> = { "Node.js": "node", Deno: "deno run -A", Bun: "bun" };

/**
 * What the user types to call this program, so that the commands that it prints can be copied: `npx highrank` or `bunx
 * highrank` where these started it, since no shell finds it by name then; the file, where that was named; else
 * `highrank`.
 */
export async function programName(env: Environment): Promise<string> {
  if (env.npm_lifecycle_event === "bunx")
    return process.versions.bun === undefined ? "bunx highrank" : "bunx --bun highrank";
  if (env.npm_command === "exec" || env.npm_lifecycle_event === "start") return "npx highrank";
  const [, file = ""] = process.argv;
  if (path.basename(file) !== "highrank.js") return "highrank";
  const [runtime] = (await runtimeVersions()).runtime.split(" ");
  const [shortest] = [path.relative("", file), file].sort((a, b) => a.length - b.length);
  return `${STARTS[runtime!]} ${shortest}`;
}
