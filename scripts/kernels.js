// Compiles src/kernels/assembly to src/kernels/wasm.ts, or to a file that is named: `node scripts/kernels.js [FILE]`.
// The result is committed, so that nobody who installs or runs highrank needs the compiler.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = fileURLToPath(new URL("../", import.meta.url));
const flags = "-O3 --noAssert --runtime stub --enable simd --initialMemory 1 --outFile module.wasm".split(" ");
let bytes;
const { error, stderr } = await asc.main(["src/kernels/assembly/index.ts", "--baseDir", root, ...flags], {
  writeFile: (_, contents) => {
    bytes = contents;
  },
});
if (error) {
  console.error(stderr.toString());
  process.exit(1);
}

const base64 = Buffer.from(bytes)
  .toString("base64")
  .replace(/.{120}/g, "$&\n");
const text = `/** The bytes of assembly/, compiled by scripts/kernels.js, in base64. */\nexport const WASM = \`\n${base64}\n\`;\n`;
const file = process.argv[2] ?? fileURLToPath(new URL("../src/kernels/wasm.ts", import.meta.url));
if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
