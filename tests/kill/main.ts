// Kills small runs at random moments and resumes them: npm run kill -- [--kills 200] [--seed 1] [--out FILE]
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { markdownTable, setting, settingLine, writeResult } from "../../bench/report.js";
import { type Kill, runCampaign } from "./campaign.js";
import { PHASES } from "./phases.js";
import { killableRuns } from "./runs.js";

const { values: flags } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    out: { type: "string" },
  },
});

/** An interrupt lets the run under way end, and then tells how it was until then. */
let interrupted = false;
process.once("SIGINT", () => {
  interrupted = true;
});

const started = setting();
const folder = await mkdtemp(path.join(tmpdir(), "highrank-kill-"));
const runs = await killableRuns(folder);
const campaign = await runCampaign(runs, {
  kills: Number(flags.kills),
  seed: Number(flags.seed),
  folder,
  stopRequested: () => interrupted,
  onRun: ({ kills, seconds }) => console.error(`${kills.length} kills, ${seconds.toFixed(0)} s`),
  onFinding: (finding) => console.error(`\n${finding}\n`),
});

const row = (name: string, kills: readonly Kill[]): string[] => [
  name,
  String(kills.length),
  String(kills.filter(({ call }) => call !== null).length),
  String(kills.filter(({ resumed }) => resumed).length),
  String(kills.filter(({ equal }) => equal).length),
];
const table = (what: string, names: readonly string[], nameOf: (kill: Kill) => string): string =>
  markdownTable(
    [what, "kills", "in a call", "resumed", "bit-equal"],
    [
      ...names.map((name) =>
        row(
          name,
          campaign.kills.filter((kill) => nameOf(kill) === name),
        ),
      ),
      row("all", campaign.kills),
    ],
  );
console.log(table("phase", PHASES, ({ phase }) => phase));
console.log(
  `\n${table(
    "run",
    runs.map(({ name }) => name),
    ({ run }) => run,
  )}`,
);
console.log(`\n${campaign.runs} runs in ${campaign.lives} processes, ${campaign.seconds.toFixed(0)} s`);
console.log(settingLine(started));
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, ...campaign });
if (campaign.findings.length === 0) await rm(folder, { recursive: true });
else console.log(`Left behind in ${folder}: ${(await readdir(folder)).join(", ")}`);
process.exitCode = campaign.findings.length > 0 ? 1 : 0;
