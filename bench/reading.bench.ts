// What does reading data cost a run, in time and in memory? Text of two sizes, and few chats and many.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadWordNet } from "../src/data/builtin-wordnet.js";
import { parseMetrics } from "../src/runs/metrics.js";
import { markdownTable, setting, settingLine, writeResult } from "./report.js";
import { peerModel } from "./side-process.js";
import { REPOSITORY } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    megabytes: { type: "string", default: "10,1000" },
    chats: { type: "string", default: "100,100000" },
    tokenizer: { type: "string", default: "smollm2-135m" },
    threads: { type: "string", default: "2" },
    out: { type: "string" },
  },
});
const tokenizer = peerModel(flags.tokenizer);

interface Reading {
  readonly data: string;
  readonly bytes: number;
  /** Wall time and processor time of the whole process, which makes one step of a tiny model. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

const started = setting();
const documents = await loadWordNet();
const folder = mkdtempSync(join(tmpdir(), "highrank-bench-"));
const results: Reading[] = [];
try {
  // Some thousand tokens, so that what a process and its step take is known apart.
  for (const megabytes of [0.05, ...flags.megabytes.split(",").map(Number)]) {
    results.push(read(`${megabytes} MB of text`, writeText(megabytes * 1e6)));
  }
  for (const count of flags.chats.split(",")) results.push(read(`${count} chats`, writeChats(Number(count))));
} finally {
  rmSync(folder, { recursive: true });
}

const [least] = results as [Reading];
const rate = (bytes: number, seconds: number): string => (seconds > 0.5 ? (bytes / 1e6 / seconds).toFixed(1) : "");
const header = ["data", "MB", "s", "of it for the data", "MB/s", "MB/s of a core", "peak MiB"];
const rows = results.map(({ data, bytes, seconds, cpuSeconds, peakBytes }) => [
  data,
  (bytes / 1e6).toFixed(1),
  seconds.toFixed(1),
  (seconds - least.seconds).toFixed(1),
  rate(bytes, seconds - least.seconds),
  rate(bytes, cpuSeconds - least.cpuSeconds),
  (peakBytes / 2 ** 20).toFixed(0),
]);
console.log(`${markdownTable(header, rows)}

Definitions of WordNet, again and again; tokens of ${flags.tokenizer}; one step of the preset tiny, ${flags.threads} threads. Time for the data is that beyond the first row.
${settingLine(started)}`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, results });

/** A file of documents, a blank line between them. */
function writeText(bytes: number): string {
  const file = join(folder, "text.txt");
  writeLines(
    file,
    (index) => `${index} ${documents[index % documents.length]}\n\n`,
    (written) => written >= bytes,
  );
  return file;
}

/** Chats of a question and an answer, of 250 bytes in the mean. */
function writeChats(count: number): string {
  const file = join(folder, "chats.jsonl");
  const chat = (index: number): string => {
    const [question, answer] = [documents[(7 * index) % documents.length]!, documents[index % documents.length]!];
    return `${JSON.stringify({
      messages: [
        { role: "user", content: `${index}: ${question.slice(0, 60)}?` },
        { role: "assistant", content: answer },
      ],
    })}\n`;
  };
  writeLines(file, chat, (_, lines) => lines >= count);
  return file;
}

function writeLines(
  file: string,
  line: (index: number) => string,
  ends: (bytes: number, lines: number) => boolean,
): void {
  const opened = openSync(file, "w");
  let [written, lines] = [0, 0];
  while (!ends(written, lines)) {
    const part: string[] = [];
    while (part.length < 10_000 && !ends(written, lines)) {
      const text = line(lines++);
      part.push(text);
      written += Buffer.byteLength(text);
    }
    writeSync(opened, part.join(""));
  }
  closeSync(opened);
}

function read(data: string, file: string): Reading {
  const run = join(folder, "run");
  const shape = ["--model", "tiny", "--method", "full", "--batch-size", "2", "--sequence-length", "128"];
  const length = ["--max-steps", "1", "--eval-every", "none", "--eval-tokens", "16", "--sample-tokens", "0"];
  const args = ["train", "--data", file, "--tokenizer", tokenizer, "--out", run, "--threads", flags.threads];
  const before = childSeconds();
  const begun = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ["bin/highrank.js", ...args, ...shape, ...length], {
    cwd: REPOSITORY,
    encoding: "utf8",
  });
  const seconds = (performance.now() - begun) / 1000;
  if (status !== 0) throw new Error(`${data}: ${stderr}`);
  const records = parseMetrics(readFileSync(join(run, "metrics.jsonl"), "utf8"));
  const { size } = statSync(file);
  rmSync(run, { recursive: true });
  rmSync(file);
  return {
    data,
    bytes: size,
    seconds,
    cpuSeconds: childSeconds() - before,
    peakBytes: records.find((record) => record.kind === "end")!.peakMemoryBytes,
  };
}

/** Processor time of the processes that were started and have ended, by the kernel's count in hundredths. */
function childSeconds(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[13]) + Number(fields[14])) / 100;
}
