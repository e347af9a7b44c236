import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { animalText } from "./animal-text.js";
import { runCommand, withFolder } from "./run-command.js";

const SIZES = [
  ...["--model", "tiny", "--data", "text.txt", "--vocab-size", "280", "--batch-size", "2", "--sequence-length", "16"],
  ...["--method", "full", "--eval-tokens", "100", "--sample-tokens", "0", "--threads", "1"],
];
const TIMEOUT_MS = 240_000;

test(
  "of two runs started at once into one folder the second is refused, and the first is whole",
  { timeout: TIMEOUT_MS },
  () =>
    withFolder({ "text.txt": animalText() }, async (cwd) => {
      const start = () => runCommand(["train", ...SIZES, "--max-steps", "40", "--out", "run"], { cwd });
      const both = await Promise.all([start(), start()]);
      const [done, refused] = both.sort((a, b) => a.code! - b.code!) as [(typeof both)[0], (typeof both)[0]];
      expect([done.code, refused.code]).toEqual([0, 2]);
      expect(refused.stderr).toMatch(
        /^error: (run is in use by process \d+ since .*; wait for it, stop it, or choose another folder|--out: run holds a run already.*)$/m,
      );
      expect(await runCommand(["doctor", "run"], { cwd })).toMatchObject({ code: 0 });
    }),
);

test(
  "of two that write one new folder at once the second says so, and the first is whole",
  { timeout: TIMEOUT_MS },
  () =>
    withFolder({ "text.txt": animalText(), "disk/space/.keep": "" }, async (cwd) => {
      await runCommand(["train", ...SIZES, "--max-steps", "2", "--out", "run"], { cwd });
      const writes = [
        ["merge", "run"],
        ["export", "run", "--to", "hf"],
        ["quantize", "run/model", "--to", "int8"],
      ];
      const ends = await Promise.all(writes.map((args) => runCommand([...args, "--out", "new"], { cwd })));
      expect(ends.map(({ code }) => code).sort()).toEqual([0, 2, 2]);
      for (const { stderr } of ends.filter(({ code }) => code === 2)) {
        expect(stderr).toMatch(
          /^error: (cannot write new: the folder|--out: new) is not empty, and nothing .* another/m,
        );
      }
      expect(await runCommand(["inspect", "new"], { cwd })).toMatchObject({ code: 0 });

      await rm(path.join(cwd, "disk/space/.keep"));
      await symlink("disk/space", path.join(cwd, "link"));
      expect(await runCommand(["merge", "run", "--out", "link"], { cwd })).toMatchObject({ code: 0 });
      expect(await readlink(path.join(cwd, "link"))).toBe("disk/space");
      expect(await readdir(path.join(cwd, "disk/space"))).toContain("model.safetensors");
      expect((await readdir(cwd)).sort()).toEqual(["disk", "link", "new", "run", "text.txt"]);
    }),
);

test("the lock of a process that is gone is taken over, and said", { timeout: TIMEOUT_MS }, () =>
  withFolder({ "text.txt": animalText() }, async (cwd) => {
    await runCommand(["train", ...SIZES, "--max-steps", "3", "--out", "run"], { cwd });
    const dead = { pid: 2 ** 22 + 1, host: hostname(), processStart: "1", since: "2026-01-01T00:00:00.000Z", id: "0" };
    await writeFile(path.join(cwd, "run/lock"), `${JSON.stringify(dead)}\n`);
    const { code, stdout } = await runCommand(["resume", "run", "--max-steps", "5"], { cwd });
    expect(code).toBe(0);
    expect(stdout).toContain(`run: took over from process ${dead.pid}`);
    // And the header says what becomes of the rate.
    expect(stdout.replaceAll(/\s+/g, " ")).toMatch(
      /change 3 steps become 5; the learning rate stood at \d\.\d\de-\d on cosine/,
    );
    expect(existsSync(path.join(cwd, "run/lock"))).toBe(false);
  }),
);

/** The exit codes of the parts of a pipe, and what went to standard error. */
function pipe(first: readonly string[], then: string, cwd: string): Promise<{ codes: string; stderr: string }> {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const script = `"$0" "$@" | ${then} > /dev/null; echo "\${PIPESTATUS[@]}"`;
  return new Promise((resolve, reject) => {
    execFile("bash", ["-c", script, process.execPath, main, ...first], { cwd }, (error, stdout, stderr) => {
      if (error !== null) reject(error);
      else resolve({ codes: stdout.trim(), stderr });
    });
  });
}

test("a pipe whose reader has seen enough ends quietly, and a run goes on to its end", { timeout: TIMEOUT_MS }, () =>
  withFolder({ "text.txt": animalText() }, async (cwd) => {
    expect(await pipe(["--help"], "head -n 1", cwd)).toEqual({ codes: "0 0", stderr: "" });
    expect(await pipe(["train", "--help"], "head -c 10", cwd)).toEqual({ codes: "0 0", stderr: "" });
    const args = ["train", ...SIZES, "--max-steps", "12", "--eval-every", "5", "--out", "run"];
    expect(await pipe(args, "head -n 3", cwd)).toEqual({ codes: "0 0", stderr: "" });
    expect(await readFile(path.join(cwd, "run/last"), "utf8")).toMatch(/^checkpoint-0*12\b/);
  }),
);

test("a failure keeps its exit code before a pipe", async () => {
  await withFolder({}, async (cwd) => {
    const { codes, stderr } = await pipe(["train", "--rnak", "3"], "cat", cwd);
    expect(codes).toBe("2 0");
    expect(stderr).toContain("did you mean --rank?");
    expect((await pipe(["eval", "nowhere", "--data", "no.txt"], "cat", cwd)).codes).toMatch(/^[23] 0$/);
  });
});
