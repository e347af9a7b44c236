import { expect, test, vi } from "vitest";
import { optionName } from "../base/naming.js";
import type { MetricsRecord, StartRecord, StepRecord } from "../runs/metrics.js";
import { stepLine } from "./live-lines.js";
import { LiveView } from "./live-view.js";
import { Outlet } from "./outlet.js";
import { cutToWidth, singleLine, styleFor, textWidth } from "./terminal.js";

const start: StartRecord = {
  kind: "start",
  step: 0,
  model: "llama tiny",
  parameters: 1_900_000,
  trainableParameters: 600_000,
  quantizer: "nf4 in blocks of 64",
  memory: {
    program: 160 * 2 ** 20,
    data: 96 * 2 ** 20,
    base: 4 * 2 ** 20,
    adapters: 2 * 2 ** 20,
    gradients: 8 * 2 ** 20,
    optimizer: 16 * 2 ** 20,
    activations: 14 * 2 ** 20,
  },
  availableMemoryBytes: 2 ** 34,
  device: "cpu, 2 threads",
  data: "builtin:wordnet, 3.1M tokens",
  maxSteps: 600,
  plan: "200 full-rank steps, then 400 steps with adapters; 4 merges, after steps 300, 400, 500, 600",
  runFolder: "runs/first",
};

const step = (number: number, over: Partial<StepRecord> = {}): StepRecord => ({
  kind: "step",
  step: number,
  tokens: number * 2048,
  loss: 4.12345,
  learningRate: 9.5e-4,
  gradNorm: 0.8312,
  tokensPerSecond: 12_345,
  cycle: 0,
  phase: "warm-start",
  ...over,
});

const records: MetricsRecord[] = [
  start,
  { kind: "eval", step: 0, loss: 8.3, perplexity: 4023.9, tokens: 50_000, sample: "zz\u001b[2Jq" },
  step(1),
  step(2),
  step(200),
  { kind: "eval", step: 200, loss: 4.05, perplexity: 57.4, tokens: 50_000, sample: "a kind of\n tree" },
  {
    kind: "quantize",
    step: 200,
    quantizer: "nf4 in blocks of 64",
    lossBefore: 4.05,
    lossAfter: 4.0712,
    relativeError: 0.0912,
    bytes: 2 ** 20,
    layers: [
      { name: "a", relativeError: 0.0912, largestError: 0.01 },
      { name: "b", relativeError: 0.0912, largestError: 0.02 },
    ],
  },
  step(201, { phase: "adapter", cycle: 1 }),
  { kind: "skip", step: 202, reason: "the loss is NaN", inARow: 1, skipped: 1 },
  step(300, { phase: "adapter", cycle: 1 }),
  {
    kind: "merge",
    step: 300,
    cycle: 1,
    policy: "requantize",
    lossBefore: 3.91,
    lossAfter: 3.92,
    deltaNorm: 12.3456,
    recovered: 0.998,
    codesChanged: 0.25,
    probeLogitsChange: 1e-6,
    rank: 90,
    layers: [
      { name: "a", deltaNorm: 10, recovered: 0.998, codesChanged: 0.3, rank: 40 },
      { name: "b", deltaNorm: 7.2, recovered: 0.998, codesChanged: 0.2, rank: 50 },
    ],
  },
  { kind: "reset", step: 300, zeroedFraction: 1 },
  {
    kind: "end",
    step: 600,
    outcome: "done",
    modelStep: 600,
    tokens: 1_228_800,
    skipped: 1,
    seconds: 185,
    savingSeconds: 1,
    peakMemoryBytes: 2 ** 29,
  },
];

/** What a view writes when each record comes `stepMs` after the one before. */
function written(options: {
  isTTY?: boolean;
  columns?: number;
  env?: Record<string, string>;
  stepMs?: number;
}): string {
  let output = "";
  let clock = 0;
  const write = (text: string) => {
    output += text;
  };
  const view = new LiveView(new Outlet({ isTTY: options.isTTY, columns: options.columns, write }), {
    env: options.env ?? {},
    now: () => clock,
  });
  view.wait("Reading data");
  for (const record of records) {
    clock += options.stepMs ?? 1000;
    view.show(record);
  }
  return output;
}

test("without a terminal the view is plain lines", () => {
  expect(written({})).toBe(
    `Reading data …
model   llama tiny, 1.90M parameters, 600K trainable (31.6%)
base    nf4 in blocks of 64
data    builtin:wordnet, 3.1M tokens
plan    200 full-rank steps, then 400 steps with adapters; 4 merges, after steps
        300, 400, 500, 600
memory  about 300 MiB of 16.0 GiB available: program 160, data 96, base 4,
        adapters 2, gradients 8, optimizer 16, activations 14 (MiB)
device  cpu, 2 threads
run     runs/first

eval    step 0  loss 8.3000  perplexity 4024
        zz·[2Jq
Warm start: every weight trains before the adapters take over
  1/600  loss 4.1235  lr 9.5e-4  grad 0.83  12K tok/s  19m58s left
time    about 4s for the next 400 steps, by the first ones
200/600  loss 4.1235  lr 9.5e-4  grad 0.83  12K tok/s  8s left
eval    step 200  loss 4.0500  perplexity 57.40  (-4.2500)
        a kind of tree
quant   nf4 in blocks of 64  error 9.12%  loss 4.0500 -> 4.0712  1.00 MiB
Adapters: low-rank updates train on frozen weights
skip    step 202 changed nothing: the loss is NaN (1 in a row, 1 in all)
300/600  loss 4.1235  lr 9.5e-4  grad 0.83  12K tok/s  cycle 1  1 skipped
merge   cycle 1  loss 3.9100 -> 3.9200  |ΔW| 12.35  rank 90 (45.0 a layer)
        recovered 99.8%  codes changed 25%
reset   100% of the adapters' optimizer state is zero
done    600 steps, 1 skipped, 1.23M tokens in 3m 05s, peak memory 512 MiB
`,
  );
});

test("a pipe gets no control characters, and a slow run gets every step", () => {
  const slow = written({ stepMs: 20_000 });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested
  expect(slow).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
  expect(slow.match(/tok\/s/g)).toHaveLength(5);
});

test("the longest usual step line fits an 80-column terminal with its time left", () => {
  const record = step(98_765, { loss: 4.8642, cycle: 99, tokensPerSecond: 45_678 });
  const place = { maxSteps: 99_999, secondsLeft: 7500, columns: 79 };
  expect(stepLine(record, place, styleFor({ write: () => {} }, {}))).toBe(
    "98765/99999  loss 4.8642  lr 9.5e-4  grad 0.83  46K tok/s  cycle 99  2h05m left",
  );
});

/** The screen after the output: a drawn-over line is replaced by what follows it. */
function screen(output: string): string[] {
  return output.split("\n").map((line) => line.slice(line.lastIndexOf("\r\u001b[K") + 1).replace("\u001b[K", ""));
}

test("on a terminal the live line leaves the last column free", () => {
  for (const columns of [40, 60, 80, 120]) {
    const output = written({ isTTY: true, columns, env: { NO_COLOR: "1" } });
    const live = output.split(/[\r\n]/).filter((line) => line.includes("/600"));
    expect(live.length).toBeGreaterThan(3);
    for (const line of live) expect(textWidth(line.replace("\u001b[K", "")), line).toBeLessThan(columns);
  }
});

test("on a terminal the lines that stay are those of a pipe, without the steps", () => {
  const lines = screen(written({ isTTY: true, columns: 80, env: { NO_COLOR: "1" } }));
  const piped = written({}).split("\n");
  expect(lines).toEqual(piped.filter((line) => !line.includes("tok/s") && !line.startsWith("Reading")));
});

test("colour appears on a terminal only, and not with NO_COLOR or a dumb terminal", () => {
  expect(written({ isTTY: true })).toContain("\u001b[32m");
  expect(written({ isTTY: true, env: { NO_COLOR: "1" } }).replaceAll("\u001b[K", "")).not.toContain("\u001b");
  expect(written({ isTTY: true, env: { NO_COLOR: "" } })).toContain("\u001b[32m");
  expect(written({ isTTY: true, env: { TERM: "dumb" } })).toBe(written({}));
});

test("a sample cannot move the cursor, and is measured in columns", () => {
  expect(singleLine("a\r\n\tb\u001b[31mc\u202ed")).toBe("a b·[31mc·d");
  expect(textWidth("日本e\u0301")).toBe(5);
  expect(cutToWidth("日本語", 5)).toBe("日本…");
  expect(cutToWidth("abcdef", 6)).toBe("abcdef");
  expect(cutToWidth("abc def", 5)).toBe("abc…");
});

test("times do not follow a clock that is set", () => {
  const texts: string[] = [];
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const view = new LiveView(new Outlet({ write: (text) => void texts.push(text), isTTY: true, columns: 100 }));
    for (const [index, record] of records.entries()) {
      vi.setSystemTime(index % 2 === 0 ? "1996-01-01" : "2046-01-01");
      view.show(record);
    }
  } finally {
    vi.useRealTimers();
  }
  const output = texts.join("");
  expect(output).toContain("left");
  expect(output).not.toMatch(/\dh\d+m\S* left|-\d+s/);
});

test("a note names options as flags", () => {
  const texts: string[] = [];
  new LiveView(new Outlet({ write: (text) => void texts.push(text) })).note(`set ${optionName("maxSteps", 5)}`);
  expect(texts.join("")).toBe("set --max-steps 5\n");
});
