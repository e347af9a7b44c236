import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PAGE_SCRIPT } from "./page-script.js";

test("page-script.ts holds what browser/ is put together to; if not, run node scripts/page-script.js", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-page-"));
  const file = path.join(folder, "page-script.ts");
  const script = fileURLToPath(new URL("../../../scripts/page-script.js", import.meta.url));
  execFileSync(process.execPath, [script, file], { cwd: folder });
  const made = readFileSync(file, "utf8");
  rmSync(folder, { recursive: true });
  expect(readFileSync(new URL("page-script.ts", import.meta.url), "utf8")).toBe(made);
});

test("nothing in the script can end its element", () => {
  expect(PAGE_SCRIPT).not.toMatch(/<\/|<!--/);
});
