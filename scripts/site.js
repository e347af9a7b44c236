// Builds the site, or serves it: node scripts/site.js [build [FOLDER] | dev | preview] [flags of Vite …]
// Its tools have a package of their own, site/, which is installed when it is missing.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const modules = path.join(root, "site/node_modules");
if (!existsSync(modules)) run("npm", ["ci", "--prefix", path.join(root, "site"), "--ignore-scripts"]);

const [verb = "build", ...args] = process.argv.slice(2);
if (verb === "build") {
  // Node.js 20 reads no TypeScript; Vite does.
  const { runnerImport } = await import(pathToFileURL(path.join(modules, "vite/dist/node/index.js")).href);
  const { module } = await runnerImport(path.join(root, "site/build.ts"));
  await module.buildSite(...args.map((folder) => path.resolve(folder)));
} else {
  const vite = path.join(modules, "vite/bin/vite.js");
  run(process.execPath, [vite, ...(verb === "dev" ? [] : [verb]), "site", "--config", "site/vite.config.ts", ...args]);
}

function run(program, flags) {
  const { status } = spawnSync(program, flags, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
