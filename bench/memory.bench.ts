// How much memory does one training step need? Peak resident size, each variant in a process of its own.
import { parseArgs } from "node:util";
import { markdownTable, setting, settingLine, writeResult } from "./report.js";
import { SideProcess } from "./side-process.js";
import { parseStepOptions } from "./step-options.js";

const VARIANTS = [
  ["torch", false],
  ["highrank", false],
  ["highrank", true],
] as const;

const { values: flags } = parseArgs({
  options: {
    preset: { type: "string", default: "60m" },
    method: { type: "string", default: "relora" },
    steps: { type: "string", default: "4" },
    sides: { type: "string", default: "torch,highrank" },
    out: { type: "string" },
  },
});
const started = setting();
const options = parseStepOptions(["--preset", flags.preset, "--method", flags.method]);
const results: { variant: string; peakBytes: number }[] = [];
for (const [side, checkpointing] of VARIANTS) {
  if (!flags.sides.split(",").includes(side)) continue;
  const child = await SideProcess.start(side, { ...options, checkpointing });
  for (let step = 0; step < Number(flags.steps); step++) await child.step();
  results.push({
    variant: checkpointing ? `${side}, gradient checkpointing` : side,
    peakBytes: await child.peakBytes(),
  });
  await child.quit();
}

const first = results[0]!.peakBytes;
console.log(
  markdownTable(
    [`${flags.preset} ${flags.method}`, "peak MiB", `${results[0]!.variant} / this`],
    results.map(({ variant, peakBytes }) => [
      variant,
      (peakBytes / 2 ** 20).toFixed(0),
      (first / peakBytes).toFixed(2),
    ]),
  ),
);
const { batch, sequence, vocab, rank, threads } = options;
console.log(
  `\n${batch} x ${sequence} tokens, vocabulary ${vocab}, rank ${rank}, ${threads} threads, ${flags.steps} steps.`,
);
console.log(settingLine(started));
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, results });
