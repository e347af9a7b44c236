import { appendFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { withFolder } from "../../tests/run-command.js";
import { formatMetricsLine, type StepRecord } from "./metrics.js";
import { MetricsTail } from "./metrics-tail.js";

const step = (number: number, loss = 1): StepRecord => ({
  kind: "step",
  step: number,
  tokens: number,
  loss,
  learningRate: 1,
  gradNorm: 1,
  tokensPerSecond: 1,
  cycle: 0,
  phase: "full",
});

const lines = (...steps: number[]): string => steps.map((each) => formatMetricsLine(step(each))).join("");

/** What was heard since the last time, in words, of a file with these contents. */
function following(content: string, use: (file: string, read: () => Promise<string[]>) => Promise<void>) {
  return withFolder({ "metrics.jsonl": content }, async (folder) => {
    const file = path.join(folder, "metrics.jsonl");
    const heard: string[] = [];
    const tail = new MetricsTail(file, {
      onRecord: (record) => heard.push(`${record.kind} ${record.step}`),
      onFault: (line, fault) => heard.push(`line ${line}: ${fault.slice(0, 11)}`),
      onRestart: () => heard.push("restart"),
    });
    await use(file, async () => {
      const hasNews = await tail.read();
      expect(hasNews).toBe(heard.length > 0);
      return heard.splice(0);
    });
  });
}

test("each line is read once, when it is finished", async () => {
  await following(lines(1, 2), async (file, read) => {
    expect(await read()).toEqual(["step 1", "step 2"]);
    expect(await read()).toEqual([]);
    const [line] = [lines(3)];
    await appendFile(file, line.slice(0, 20));
    expect(await read()).toEqual([]);
    await appendFile(file, line.slice(20) + lines(4));
    expect(await read()).toEqual(["step 3", "step 4"]);
  });
});

test("a file that a resume has written anew is read from the start", async () => {
  await following(lines(1, 2, 3, 4), async (file, read) => {
    await read();
    await writeFile(`${file}.new`, lines(1, 2));
    await rename(`${file}.new`, file);
    expect(await read()).toEqual(["restart", "step 1", "step 2"]);
    // Written anew and already longer than before.
    await writeFile(file, lines(1) + formatMetricsLine(step(2, 0.5)) + lines(3, 4, 5));
    expect(await read()).toEqual(["restart", "step 1", "step 2", "step 3", "step 4", "step 5"]);
    await truncate(file, 0);
    expect(await read()).toEqual(["restart"]);
  });
});

test("a file that goes keeps what was heard; another in its place is read from the start", async () => {
  await following(lines(1), async (file, read) => {
    await read();
    await rm(file);
    expect(await read()).toEqual([]);
    await writeFile(file, lines(1, 2));
    expect(await read()).toEqual(["step 2"]);
    await rm(file);
    await writeFile(file, lines(7, 8));
    expect(await read()).toEqual(["restart", "step 7", "step 8"]);
  });
});

test("damaged lines are told and left out; those of other characters keep their places", async () => {
  await following(`${lines(1)}{"kind":"step"}\nnot JSON ü\n\n${lines(2)}`, async (_, read) => {
    expect(await read()).toEqual(
      ["step 1", 'line 2: "step": ste', "line 3: not JSON (U", "step 2"].map((text) =>
        text.replace(/^(line \d: .{11}).*/, "$1"),
      ),
    );
  });
});

test("a line without end takes no more memory than a chunk, and what follows is read", async () => {
  const long = "x".repeat(2 ** 20 + 10);
  await following(lines(1) + long, async (file, read) => {
    expect(await read()).toEqual(["step 1"]);
    await appendFile(file, `${"y".repeat(2 ** 20)}\n${lines(2)}`);
    expect(await read()).toEqual(["line 2: longer than", "step 2"]);
  });
});

test("a pipe is refused, not waited for", async () => {
  await withFolder({}, async (folder) => {
    await symlink("/dev/zero", path.join(folder, "metrics.jsonl"));
    const tail = new MetricsTail(path.join(folder, "metrics.jsonl"), { onRecord() {}, onFault() {}, onRestart() {} });
    await expect(tail.read()).rejects.toThrow("a pipe or a device");
  });
});
