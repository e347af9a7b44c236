import { fork } from "node:child_process";
import type { CaseResult } from "./case.js";
import type { FaultSite } from "./fault-sites.js";

/** What a child tells. */
export type CampaignMessage =
  | { readonly kind: "start"; readonly seed: number }
  | { readonly kind: "result"; readonly result: CaseResult }
  | { readonly kind: "end"; readonly sites: readonly FaultSite[]; readonly peakBytes: number };

export interface Finding {
  readonly seed: number;
  readonly message: string;
}

/** What came of the cases of one target. */
export interface Campaign {
  readonly target: string;
  cases: number;
  accepted: number;
  refused: number;
  /** How often each message came, numbers, names and paths aside. */
  readonly messages: Map<string, number>;
  readonly findings: Finding[];
  sites: FaultSite[];
  seconds: number;
  slowestCpuSeconds: number;
  slowestSeed: number;
  mostArrayBytes: number;
  peakBytes: number;
}

export interface CampaignOptions {
  readonly target: string;
  /** Of the first case; the next ones count up. */
  readonly seed: number;
  readonly cases: number;
  /** The program that runs the cases; `node` runs it with `TARGET SEED CASES`. */
  readonly child: string;
  /** Without a word for so long, a child counts as hanging. */
  readonly silenceSeconds?: number;
  /** Most memory for objects. */
  readonly heapMegabytes?: number;
}

/** Children that die without a case in work say that the harness is broken. */
const MOST_RESTARTS = 200;

/** Runs cases in child processes. One that hangs, dies or ends early counts as a finding, and the next case goes on. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const started = performance.now();
  const campaign: Campaign = {
    ...{ target: options.target, cases: 0, accepted: 0, refused: 0, messages: new Map(), findings: [], sites: [] },
    ...{ seconds: 0, slowestCpuSeconds: 0, slowestSeed: 0, mostArrayBytes: 0, peakBytes: 0 },
  };
  const end = options.seed + options.cases;
  for (let [next, restarts] = [options.seed, 0]; next < end; restarts++) {
    if (restarts > MOST_RESTARTS)
      throw new Error(`${options.target}: ${restarts} child processes died; see the findings`);
    next = await runChild(campaign, next, end - next, options);
  }
  campaign.seconds = (performance.now() - started) / 1000;
  return campaign;
}

/** Runs one child until it is done or dead. Returns the seed of the next case. */
function runChild(
  campaign: Campaign,
  seed: number,
  cases: number,
  { target, child: program, silenceSeconds = 120, heapMegabytes = 512 }: CampaignOptions,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const execArgv = ["--enable-source-maps", "--no-warnings", `--max-old-space-size=${heapMegabytes}`];
    const child = fork(program, [target, String(seed), String(cases)], {
      execArgv,
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    let [running, next, complaint, reason] = [undefined as number | undefined, seed, "", ""];
    let watchdog: NodeJS.Timeout;
    const watch = (): void => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => {
        reason = `no end after ${silenceSeconds} s`;
        child.kill("SIGKILL");
      }, silenceSeconds * 1000);
    };
    watch();
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-4000);
    });
    child.on("message", (message: CampaignMessage) => {
      watch();
      if (message.kind === "start") running = message.seed;
      else if (message.kind === "result") {
        count(campaign, message.result);
        [running, next] = [undefined, message.result.seed + 1];
      } else {
        campaign.sites = joinSites(campaign.sites, message.sites);
        campaign.peakBytes = Math.max(campaign.peakBytes, message.peakBytes);
      }
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(watchdog);
      const how = reason || `the process ended with ${signal ?? `code ${code}`}: ${complaint.trim()}`;
      if (running !== undefined) {
        campaign.cases++;
        campaign.findings.push({ seed: running, message: how });
        resolve(running + 1);
      } else if (code === 0) resolve(next);
      else reject(new Error(`${target}: ${how}`));
    });
  });
}

function count(campaign: Campaign, { seed, outcome, message, cpuSeconds, arrayBytes }: CaseResult): void {
  campaign.cases++;
  if (cpuSeconds > campaign.slowestCpuSeconds) [campaign.slowestCpuSeconds, campaign.slowestSeed] = [cpuSeconds, seed];
  campaign.mostArrayBytes = Math.max(campaign.mostArrayBytes, arrayBytes);
  if (outcome === "finding") campaign.findings.push({ seed, message });
  else if (outcome === "accepted") campaign.accepted++;
  else {
    campaign.refused++;
    const kind = normalized(message);
    campaign.messages.set(kind, (campaign.messages.get(kind) ?? 0) + 1);
  }
}

/** The message without what it quotes: its first fault, names, paths and numbers left out. */
export function normalized(message: string): string {
  const [head = "", first] = message.split("\n");
  return (first?.startsWith("  - ") ? first : head)
    .replace(/"(?:[^"\\]|\\.)*"?/g, "…")
    .replace(/\S*\/\S*/g, "…")
    .replace(/[-+]?\d[\w.+]*/g, "0")
    .slice(0, 160);
}

function joinSites(a: readonly FaultSite[], b: readonly FaultSite[]): FaultSite[] {
  if (a.length === 0) return [...b];
  return a.map((site, i) => ({ ...site, reached: site.reached || b[i]!.reached }));
}
