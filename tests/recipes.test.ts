import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const run = promisify(execFile);

const DECLARATION = `
  gradientNoise: {
    type: "number",
    group: "Optimizer",
    default: 0,
    min: 0,
    help: "Standard deviation of noise that is added to each gradient.",
  },`;

test("CONTRIBUTING.md, a setting: its declaration alone makes flag, check, help, schema and type", async () => {
  const copy = await mkdtemp(path.join(tmpdir(), "highrank-recipe-"));
  for (const name of ["src", "package.json", "tsconfig.json", "tsconfig.build.json"]) {
    await cp(path.join(ROOT, name), path.join(copy, name), { recursive: true });
  }
  await symlink(path.join(ROOT, "node_modules"), path.join(copy, "node_modules"));
  const settings = path.join(copy, "src/config/settings.ts");
  const table = "export const SETTINGS = {";
  const source = await readFile(settings, "utf8");
  expect(source).toContain(table);
  await writeFile(settings, source.replace(table, `${table}${DECLARATION}`));
  await writeFile(
    path.join(copy, "src/check.ts"),
    `import { resolveSettings, type Settings, settingsJsonSchema } from "./index.js";
    const noiseOf = ({ gradientNoise }: Pick<Settings, "gradientNoise">): number => gradientNoise;
    const refusal = (): string => {
      try { return String(noiseOf(resolveSettings({ flags: { gradientNoise: -1 } }))); }
      catch (error) { return (error as Error).message; }
    };
    console.log(JSON.stringify({
      byDefault: noiseOf(resolveSettings()),
      byFlag: noiseOf(resolveSettings({ flags: { "gradient-noise": "0.5" } })),
      refusal: refusal(),
      described: JSON.stringify(settingsJsonSchema()).includes("gradientNoise"),
    }));`,
  );
  await run(process.execPath, [path.join(ROOT, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
    cwd: copy,
  });
  const outputOf = async (...args: string[]): Promise<string> =>
    (await run(process.execPath, args, { cwd: copy })).stdout;
  const { refusal, ...found } = JSON.parse(await outputOf("dist/check.js"));
  expect(found).toEqual({ byDefault: 0, byFlag: 0.5, described: true });
  expect(refusal).toMatch(/gradientNoise: must be .* got -1/);
  expect(await outputOf("dist/cli/main.js", "train", "--help", "--all")).toContain("--gradient-noise");
  await rm(copy, { recursive: true });
});
