import type { RunUpdate } from "../../dist/runs/report/page-data.js";
import { FollowedFolder } from "../../dist/verbs/watch/followed-folder.js";
import type { FollowedRun, Heard } from "../../dist/verbs/watch/followed-run.js";
import { RUNS } from "./storage.ts";

/** Time between looks, in ms: while a run goes on, and else. */
const SOON_MS = 500;
const LATE_MS = 3000;

/** Hears of the runs in this browser, also of those in other tabs. */
export interface RunsListener {
  /** The runs there are, the newest first. */
  onList(ids: readonly string[]): void;
  onRun(update: RunUpdate): void;
}

/** Follows the runs as `highrank watch` does, by what is appended to their records. */
export async function followRuns({ onList, onRun }: RunsListener): Promise<() => void> {
  const folder = new FollowedFolder(RUNS);
  const heard = new WeakMap<FollowedRun, Heard>();
  let timer: ReturnType<typeof setTimeout>;
  let [listed, isLooking, isAsked] = ["", false, false];
  async function look(): Promise<void> {
    await folder.look();
    const ids = folder.runs.map(({ id }) => id);
    if (ids.join() !== listed) onList(ids);
    listed = ids.join();
    for (const run of folder.runs) {
      await run.look();
      const news = run.news(heard.get(run));
      if (news === null) continue;
      heard.set(run, news.heard);
      onRun(news.update);
    }
  }
  async function lookOn(): Promise<void> {
    clearTimeout(timer);
    isAsked = isLooking;
    if (isLooking) return;
    isLooking = true;
    try {
      await look();
    } finally {
      isLooking = false;
    }
    const isSoon = folder.runs.some(({ isRunning }) => isRunning);
    timer = setTimeout(lookOn, isAsked ? 0 : isSoon ? SOON_MS : LATE_MS);
    isAsked = false;
  }
  await lookOn();
  return () => void lookOn();
}
