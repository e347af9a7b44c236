// Makes notebooks/low-rank-adapters.ipynb of the Markdown beside it and of the sections of docs/ that it names.
//
//   node scripts/notebook.js           writes the cells anew; outputs of code that did not change stay
//   node scripts/notebook.js --check   fails if the notebook has other cells
//   node scripts/notebook.js --run     writes the cells, runs them in Deno's kernel, and keeps what they print and draw
//
// --run needs the Python libraries of the tests (npm run peers:prepare) and Deno (npm ci --prefix tests/runtimes).
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { wholePage } from "./notebook-page.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const NOTEBOOK = path.join(ROOT, "notebooks/low-rank-adapters.ipynb");

const METADATA = {
  kernelspec: { display_name: "Deno", language: "typescript", name: "deno" },
  language_info: { file_extension: ".ts", mimetype: "text/x.typescript", name: "typescript" },
};

/** Cells by the blocks of code of the page. */
function cellsOf(page) {
  return page.split(/^```ts\n(.*?)^```$/ms).flatMap((text, i) => {
    const source = text.trim();
    if (source === "") return [];
    const id = `cell-${i}`;
    if (i % 2 === 0) return [{ cell_type: "markdown", id, metadata: {}, source: linesOf(source) }];
    const code = source.replaceAll('from "highrank"', 'from "../dist/index.js"');
    return [{ cell_type: "code", execution_count: null, id, metadata: {}, outputs: [], source: linesOf(code) }];
  });
}

/** Lines as notebooks hold them. */
function linesOf(text) {
  return text.split(/(?<=\n)/);
}

function present() {
  try {
    return JSON.parse(readFileSync(NOTEBOOK, "utf8")).cells;
  } catch {
    return [];
  }
}

const cells = cellsOf(wholePage("notebook"));
const sources = (all) => JSON.stringify(all.map(({ cell_type, source }) => [cell_type, [source].flat().join("")]));
if (process.argv.includes("--check")) {
  if (sources(cells) !== sources(present())) {
    console.error(
      "notebooks/low-rank-adapters.ipynb is not what its page and docs/ say; run node scripts/notebook.js --run",
    );
    process.exit(1);
  }
} else {
  const before = new Map(present().map((cell) => [[cell.source].flat().join(""), cell]));
  for (const cell of cells) {
    const { outputs, execution_count } = before.get(cell.source.join("")) ?? {};
    if (cell.cell_type === "code" && outputs !== undefined) Object.assign(cell, { outputs, execution_count });
  }
  writeFileSync(
    NOTEBOOK,
    `${JSON.stringify({ cells, metadata: METADATA, nbformat: 4, nbformat_minor: 5 }, null, 1)}\n`,
  );
  if (process.argv.includes("--run")) runCells();
}

function runCells() {
  const python = execFileSync(process.execPath, [path.join(ROOT, "tests/peers/prepare.js"), "--where"], {
    encoding: "utf8",
  });
  const programs = path.join(ROOT, "tests/runtimes/node_modules/@deno");
  const deno = path.join(programs, readdirSync(programs)[0], "deno");
  execFileSync(python.trim(), [path.join(ROOT, "tests/peers/python/notebooks.py"), NOTEBOOK, deno], {
    stdio: "inherit",
  });
}
