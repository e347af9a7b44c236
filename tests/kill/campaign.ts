import { access, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { Rng } from "../../src/tensor/random.js";
import { runContents } from "../run-contents.js";
import { checkLeft } from "./left-behind.js";
import { type Life, live, type Order, type Shot } from "./life.js";
import { lastPhase, type Phase, type Place, placesOf } from "./phases.js";
import type { KillableRun } from "./runs.js";
import { Shots } from "./shots.js";

/** A kill and what came of it. */
export interface Kill {
  readonly run: string;
  readonly phase: Phase;
  readonly shot: Shot;
  /** The call that was under way, if one was. */
  readonly call: string | null;
  /** Whether the next process went on. */
  resumed: boolean;
  /** Whether the run ended as it does without any kill. */
  equal: boolean;
}

export interface KillCampaign {
  readonly kills: Kill[];
  /** What is wrong, in words. */
  readonly findings: string[];
  runs: number;
  lives: number;
  seconds: number;
}

export interface CampaignOptions {
  readonly kills: number;
  readonly seed: number;
  /** Is made use of and left empty, but for runs with findings. */
  readonly folder: string;
  readonly onRun?: (campaign: KillCampaign) => void;
  readonly onFinding?: (finding: string) => void;
  /** Asked after each run; true ends the campaign. */
  readonly stopRequested?: () => boolean;
}

/** A run without a kill. */
interface Whole {
  readonly life: Life;
  readonly contents: Record<string, unknown>;
  readonly names: readonly string[];
  readonly shots: Shots;
}

/** The most kills of one run. */
const MOST_KILLS = 8;

/** Kills the runs in turn until there are enough kills, lets each go on to its end, and compares. */
export async function runCampaign(
  runs: readonly KillableRun[],
  { kills, seed, folder, onRun = () => {}, onFinding = () => {}, stopRequested = () => false }: CampaignOptions,
): Promise<KillCampaign> {
  const started = performance.now();
  const campaign: KillCampaign = { kills: [], findings: [], runs: 0, lives: 0, seconds: 0 };
  const wholes = new Map<string, Whole>();
  const tried = new Map<Phase, number>();
  while (campaign.kills.length < kills && !stopRequested()) {
    const run = runs[campaign.runs % runs.length]!;
    const whole = wholes.get(run.name) ?? (await wholeRun(run, folder));
    wholes.set(run.name, whole);
    campaign.runs++;
    const rng = new Rng(seed, "kill", campaign.runs);
    const out = path.join(folder, `run-${campaign.runs}`);
    const most = Math.min(1 + rng.below(MOST_KILLS), kills - campaign.kills.length);
    const made: Kill[] = [];
    try {
      await killAndResume({ run, whole, out, rng, tried, most }, made, () => campaign.lives++);
      for (const kill of made) kill.equal = true;
      await rm(out, { recursive: true });
    } catch (error) {
      const finding = `${out} (${run.name}; ${made.map(describe).join("; ")}): ${(error as Error).message}`;
      campaign.findings.push(finding);
      onFinding(finding);
    }
    campaign.kills.push(...made);
    campaign.seconds = (performance.now() - started) / 1000;
    onRun(campaign);
  }
  return campaign;
}

interface Game {
  readonly run: KillableRun;
  readonly whole: Whole;
  readonly out: string;
  readonly rng: Rng;
  readonly tried: Map<Phase, number>;
  readonly most: number;
}

/** Adds the kills to `made`. @throws Error for what must not be. */
async function killAndResume(
  { run, whole, out, rng, tried, most }: Game,
  made: Kill[],
  onLife: () => void,
): Promise<void> {
  /** The newest checkpoint that `last` has named. */
  let saved = 0;
  let from: number | null = null;
  for (;;) {
    const verb = (await isThere(path.join(out, "config.resolved.json"))) ? "resume" : "train";
    const order: Order = { verb, folder: out, settings: run.settings, changes: { threads: 1 + rng.below(2) } };
    const shot = made.length < most ? whole.shots.draw(rng, verb, from, tried) : null;
    const life = await live(order, shot);
    onLife();
    whole.shots.learn(life);
    if (life.end === "failed") throw new Error(`${verb} failed: ${life.complaint.trim()}`);
    const before = made.at(-1);
    if (before !== undefined) before.resumed = true;
    const began = life.events.find((event) => "record" in event && event.record === "start");
    if (began !== undefined && "step" in began && began.step !== (from ?? 0)) {
      throw new Error(`it went on from step ${began.step} instead of ${from ?? 0}`);
    }
    if (life.end === "done") break;
    const phase = lastPhase(life, whole.life.events);
    made.push({ run: run.name, phase, shot: shot!, call: callUnderWay(life), resumed: false, equal: false });
    const places = placesOf(life, whole.life.events);
    saved = Math.max(saved, savedStep(places));
    from = (await isThere(out)) ? await checkLeft(out) : null;
    if ((from ?? 0) < saved) throw new Error(`last names step ${from}, though ${saved} was saved`);
    const lost = (places.at(-1)?.step ?? 0) - (from ?? 0);
    if (lost > run.settings.saveEvery!) throw new Error(`${lost} steps are lost`);
  }
  const difference = differenceOf(whole, await runContents(out), await namesIn(out));
  if (difference.length > 0) throw new Error(`it ended with another ${difference.join(", ")}`);
}

async function wholeRun({ name, settings }: KillableRun, folder: string): Promise<Whole> {
  const out = path.join(folder, `${name} whole`);
  const life = await live({ verb: "train", folder: out, settings, changes: { threads: 1 } }, null);
  if (life.end !== "done") throw new Error(`${name} does not even train: ${life.complaint}`);
  const whole = { life, contents: await runContents(out), names: await namesIn(out), shots: new Shots(life) };
  await rm(out, { recursive: true });
  return whole;
}

/** Names of what two runs do not have in common. */
function differenceOf(
  { contents, names }: Whole,
  made: Record<string, unknown>,
  madeNames: readonly string[],
): string[] {
  const isDifferent = (name: string): boolean =>
    !names.includes(name) || !madeNames.includes(name) || !isDeepStrictEqual(made[name], contents[name]);
  return [...new Set([...names, ...madeNames])].filter(isDifferent).sort();
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}

/** The last step whose checkpoint `last` was made to name; 0 for none. */
function savedStep(places: readonly Place[]): number {
  // Something was heard after the call, so it was made.
  const made = places.slice(0, -1).findLast(({ event }) => {
    return "call" in event && event.stage === "running" && event.name === "rename" && event.path === "last";
  });
  return made?.step ?? 0;
}

function callUnderWay({ events }: Life): string | null {
  const last = events.at(-1);
  return last !== undefined && "call" in last ? `${last.name} ${last.path}` : null;
}

function describe({ phase, shot, call }: Kill): string {
  const how = "when" in shot ? shot.when : "in";
  return `killed at ${phase}, ${how} ${call ?? "computing"}`;
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
