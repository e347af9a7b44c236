// Installs the Python libraries and real models that the tests compare with into a folder of the user's cache.
//
//   node tests/peers/prepare.js           installs what is missing; prints the interpreter
//   node tests/peers/prepare.js --where   prints the interpreter; fails if it is not installed
//
// The folder's name holds the hash of both lists, so that a changed list gets a folder of its own.
// HIGHRANK_PEERS names another place than the cache. Needs Python 3.11 or later and 9 GB of disk.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Standard output is for the interpreter's path alone. */
const QUIET = ["ignore", "ignore", "inherit"];
const LISTS = ["requirements.txt", "models.txt"].map((name) => fileURLToPath(new URL(name, import.meta.url)));
const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache");
const root = process.env.HIGHRANK_PEERS || path.join(cache, "highrank-peers");
const hash = createHash("sha256");
for (const list of LISTS) hash.update(readFileSync(list));
const folder = path.join(root, hash.digest("hex").slice(0, 16));
const python = path.join(folder, "bin/python");
/** Written last: a folder without it was not installed to its end. */
const mark = path.join(folder, "installed");

if (!existsSync(mark)) {
  if (process.argv.includes("--where")) {
    console.error(`${folder}: is not installed; run npm run peers:prepare`);
    process.exit(1);
  }
  const [requirements, models] = LISTS;
  const uv = findUv();
  const run = (...args) => execFileSync(uv, args, { stdio: QUIET });
  run("venv", "--quiet", "--clear", folder);
  run("pip", "install", "--quiet", "--python", python, "--requirement", requirements);
  run("pip", "install", "--quiet", "--python", python, "--no-deps", "--requirement", models);
  const makeModels = fileURLToPath(new URL("python/real_models.py", import.meta.url));
  execFileSync(python, [makeModels], { stdio: QUIET, env: { ...process.env, HF_HUB_OFFLINE: "1", TQDM_DISABLE: "1" } });
  writeFileSync(mark, "");
}
console.log(python);

/** The uv of this machine, or one of our own beside the environment. */
function findUv() {
  if (spawnSync("uv", ["--version"]).status === 0) return "uv";
  const own = path.join(root, "uv");
  const program = path.join(own, "bin/uv");
  if (existsSync(program)) return program;
  mkdirSync(root, { recursive: true });
  execFileSync("python3", ["-m", "venv", own], { stdio: QUIET });
  execFileSync(path.join(own, "bin/pip"), ["install", "--quiet", "uv==0.13.9"], {
    stdio: QUIET,
  });
  return program;
}
