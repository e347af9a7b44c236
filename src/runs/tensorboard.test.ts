import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { crc32c, summaryEvent } from "./event-file.js";
import type { MetricsRecord, StartRecord } from "./metrics.js";
import { RunFolder } from "./run-folder.js";
import { eventValues, filesBesideEvents, TensorBoardLog } from "./tensorboard.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-tensorboard-"));
});
afterAll(() => rm(folder, { recursive: true }));

const step = (number: number): MetricsRecord => ({
  ...({ kind: "step", step: number, tokens: 100 * number, loss: 2, learningRate: 1e-3, gradNorm: 1 } as const),
  ...{ tokensPerSecond: 10, cycle: 0, phase: "full" },
});
const start = (number: number) => ({ kind: "start", step: number }) as StartRecord;

/** The messages of the frames in a file. */
function messagesOf(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    messages.push(bytes.subarray(at + 12, at + 12 + length));
    at += 16 + length;
  }
  return messages;
}

test("an event is framed with its length and masked checksums", () => {
  // The check value of CRC-32C in the catalogue of parametrised CRC algorithms.
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
  // As tensorboard 2.21 writes the same event.
  const bytes = summaryEvent(1.5, 3, [{ tag: "train/loss", value: 2.5 }]);
  expect(Buffer.from(bytes).toString("hex")).toBe(
    "200000000000000029eda95009000000000000f83f10032a130a110a0a747261696e2f6c6f7373150000204012e1bdac",
  );
});

test("each process has a file of its own, which takes the place of the steps that are done again", async () => {
  const run = new RunFolder(path.join(folder, "run"));
  await mkdir(run.path);
  const write = async (log: TensorBoardLog, record: MetricsRecord): Promise<void> => {
    await run.record(record);
    await log.record(record);
  };
  await run.record(start(0));
  const first = new TensorBoardLog(run);
  for (const number of [1, 2, 3]) await write(first, step(number));
  await run.record(start(2));
  const second = new TensorBoardLog(run);
  for (const number of [3, 4]) await write(second, step(number));

  const events = path.join(run.path, "tensorboard");
  const names = (await readdir(events)).sort();
  expect(names).toHaveLength(2);
  const [one, two] = await Promise.all(names.map(async (name) => messagesOf(await readFile(path.join(events, name)))));
  expect(one).toHaveLength(1 + 3);
  expect(two).toHaveLength(2 + 2);
  // Step 3 (field 2), SessionLog (field 7) with status START.
  expect(two![1]!.subarray(9).toString("hex")).toBe("10033a020801");
  await writeFile(path.join(events, "notes.txt"), "mine");
  expect(await filesBesideEvents(events)).toEqual(["notes.txt"]);
});

test("a run that is given event files on its way has all its steps in them", async () => {
  const run = new RunFolder(path.join(folder, "late"));
  await mkdir(run.path);
  for (const record of [start(0), step(1), step(2), start(2), step(3)]) await run.record(record);
  await new TensorBoardLog(run).record(step(3));
  const events = path.join(run.path, "tensorboard");
  const [name] = await readdir(events);
  expect(messagesOf(await readFile(path.join(events, name!)))).toHaveLength(1 + 3);
});

test("of several ranks the first writes, and none waits for the others", async () => {
  // Whoever asked this one for anything would wait for ever.
  const never = (): Promise<never> => new Promise(() => {});
  const waiting = { size: 2, sentBytes: 0, sum: never, gather: never, broadcast: never, barrier: never, close: never };
  for (const rank of [0, 1]) {
    const run = new RunFolder(path.join(folder, `rank-${rank}`), { ...waiting, rank });
    await mkdir(run.path);
    for (const record of [start(0), step(1)]) await run.record(record);
    await new TensorBoardLog(run).record(step(1));
    expect(await readdir(run.path)).toEqual(rank === 0 ? ["metrics.jsonl", "tensorboard"] : []);
  }
});

test("what is not known has no value, and texts stand as code", () => {
  const sample = { messages: [{ role: "user", content: "a\n# b" }], text: "c" };
  const measured = { loss: 2, perplexity: 7.4, tokens: 10, sample: "", samples: [sample] };
  expect(eventValues({ kind: "eval", step: 1, ...measured })).toEqual([
    { tag: "eval/loss", value: 2 },
    { tag: "eval/perplexity", value: 7.4 },
    { tag: "held_out_1/text_summary", value: "**user**\n\n    a\n    # b\n\n**model**\n\n    c" },
  ]);
});
