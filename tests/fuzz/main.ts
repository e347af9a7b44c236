// Feeds every parser with files that somebody tampered with: npm run fuzz -- --cases 20000 [--target NAME] [--seed N] [--out FILE]
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { markdownTable, setting, settingLine, writeResult } from "../../bench/report.js";
import { type Campaign, runCampaign } from "./campaign.js";
import type { FaultSite } from "./fault-sites.js";
import { TARGETS, targetNamed } from "./targets.js";

const { values: flags } = parseArgs({
  options: {
    cases: { type: "string", default: "2000" },
    target: { type: "string", multiple: true },
    seed: { type: "string", default: "1" },
    out: { type: "string" },
    messages: { type: "boolean", default: false },
  },
});
const [cases, seed] = [Number(flags.cases), Number(flags.seed)];
const targets = flags.target?.map(targetNamed) ?? TARGETS;
const child = fileURLToPath(new URL("child.js", import.meta.url));

const started = { ...setting(), command: ["npm run fuzz --", ...process.argv.slice(2)].join(" ") };
const campaigns: Campaign[] = [];
for (const { name } of targets) {
  const campaign = await runCampaign({ target: name, seed, cases, child });
  campaigns.push(campaign);
  for (const finding of campaign.findings) {
    console.log(
      `${name}: npm run fuzz -- --target ${name.replaceAll(" ", "-")} --seed ${finding.seed} --cases 1\n  ${finding.message}\n`,
    );
  }
  if (flags.messages) for (const [message, times] of campaign.messages) console.log(`${name}: ${times} × ${message}`);
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
console.log(
  markdownTable(
    [
      "parser",
      "cases",
      "accepted",
      "refused",
      "messages",
      "findings",
      "refusals reached",
      "slowest, s",
      "arrays, MiB",
      "peak, MiB",
      "seconds",
    ],
    campaigns.map((one) => [
      ...[one.target, String(one.cases), String(one.accepted), String(one.refused), String(one.messages.size)],
      ...[String(one.findings.length), `${one.sites.filter(({ reached }) => reached).length} of ${one.sites.length}`],
      ...[
        one.slowestCpuSeconds.toFixed(2),
        mebibytes(one.mostArrayBytes),
        mebibytes(one.peakBytes),
        one.seconds.toFixed(0),
      ],
    ]),
  ),
);
const missed = new Map<string, FaultSite>();
for (const site of campaigns.flatMap(({ sites }) => sites)) {
  const key = `${site.source}:${site.line}`;
  if (!site.reached) missed.set(key, site);
}
for (const { sites } of campaigns)
  for (const { source, line, reached } of sites) if (reached) missed.delete(`${source}:${line}`);
console.log(`\nNot reached: ${missed.size || "none"}`);
for (const { source, line, code } of missed.values()) console.log(`  src/${source}.ts:${line}  ${code}`);
console.log(`\n${settingLine(started)}`);
if (flags.out !== undefined) {
  writeResult(flags.out, {
    setting: started,
    flags,
    results: campaigns.map(({ messages, ...rest }) => ({ ...rest, messages: Object.fromEntries(messages) })),
  });
}
process.exitCode = campaigns.some(({ findings }) => findings.length > 0) ? 1 : 0;
