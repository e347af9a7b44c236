import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { wholePage } from "../scripts/notebook-page.js";

test("the notebook has the cells that its page and docs/ make", () => {
  const program = fileURLToPath(new URL("../scripts/notebook.js", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [program, "--check"], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

test("notebook and site take their own parts of one page", () => {
  const [notebook, site] = [wholePage("notebook"), wholePage("site")];
  expect(notebook).toContain("deno jupyter --install");
  expect(notebook).not.toMatch(/<!--|^```text$/m);
  expect(site).not.toContain("jupyter lab");
  expect([...site.matchAll(/<!--.*?-->/gs)].map(String)).toEqual(["<!-- figure: cycles -->", "<!-- figure: grid -->"]);
  const cells = (page: string) => page.match(/^```ts$.*?^```$/gms);
  expect(cells(site)).toEqual(cells(notebook));
});
