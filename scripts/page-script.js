// Puts src/runs/report/browser together into src/runs/report/page-script.ts, or into a file that is named:
// `node scripts/page-script.js [FILE]`. The result is committed, so that tests on the sources have it.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const inRepository = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const bundle = await rolldown({
  cwd: inRepository(""),
  input: inRepository("src/runs/report/browser/main.ts"),
  platform: "browser",
  tsconfig: false,
  resolve: { extensionAlias: { ".js": [".ts", ".js"] } },
  transform: { target: "es2022" },
});
const { output } = await bundle.generate({ format: "iife", minify: true });
const script = output[0].code.trim().replaceAll("</", "<\\/");

const text = `/** The script of browser/, put together by scripts/page-script.js. */
export const PAGE_SCRIPT: string =
  ${JSON.stringify(script)};
`;
const file = process.argv[2] ?? inRepository("src/runs/report/page-script.ts");
if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
