import { exists, isDirectory } from "#platform";
import { AMOUNT, orNull, requireArguments, requireOptions, TEXT } from "../../base/arguments.js";
import { ConfigError } from "../../base/errors.js";
import { NO_SECTIONS, renderRunPage } from "../../runs/report/run-page.js";
import { isRunFolder } from "../../runs/run-folder.js";
import { sendEvents } from "../../serving/events.js";
import { type App, type Listening, listen } from "../../serving/server.js";
import { FollowedFolder } from "./followed-folder.js";
import type { FollowedRun, Heard } from "./followed-run.js";

/** The port of the page, if nothing else has it. */
export const WATCH_PORT = 6116;
/** Time between looks at the runs, in ms. */
const LOOK_MS = 500;

export interface WatchOptions {
  /** 0 for any free one. Default and null: 6116, or any free one where that is taken. */
  readonly port?: number | null;
}

/** A page of runs that is served until it is closed. */
export interface Watching {
  /** Of the page, as `http://127.0.0.1:6116`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves a page of runs on the loopback address, which follows them while they go on. Nothing is read while no page is
 * open, and nothing is ever written.
 * @param target a run folder, or a folder of runs, which need not be there yet if it is `runs`.
 * @throws ConfigError for a folder that is not there, and as `listen`.
 */
export async function watch(target = "runs", options: WatchOptions = {}): Promise<Watching> {
  requireArguments("watch", { target: TEXT }, { target });
  requireOptions("watch", options, { port: orNull(AMOUNT) });
  const { port = null } = options;
  if (!(await isDirectory(target)) && (target !== "runs" || (await exists(target)))) {
    throw new ConfigError(`${target} is no folder; name the folder of a run, or one that holds runs`);
  }
  const title = (await isRunFolder(target)) ? target : `Runs in ${target}`;
  const page = { title, state: "", runs: [], sections: NO_SECTIONS, events: "events" };
  const html = await renderRunPage(page);
  const folder = new FollowedFolder(target);
  const addRoutes = (app: App): void => {
    app.get("/", (c) => c.html(html));
    app.get("/favicon.ico", (c) => c.body(null, 204));
    app.get("/events", (c) => sendEvents(c, (stream, signal) => tell(stream, folder, signal)));
  };
  return await listenNear(addRoutes, port);
}

/** On the port, or without one on the usual port or, where that is taken, on any. */
async function listenNear(addRoutes: (app: App) => void, port: number | null): Promise<Listening> {
  if (port !== null) return listen(addRoutes, { port });
  try {
    return await listen(addRoutes, { port: WATCH_PORT });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return listen(addRoutes, { port: 0 });
  }
}

/** Sends what is new of the runs, as long as somebody listens. */
async function tell(
  stream: { writeSSE(message: { event: string; data: string }): Promise<void> },
  folder: FollowedFolder,
  signal: AbortSignal,
): Promise<void> {
  // By the run itself: one whose folder was gone and is back under its name begins anew.
  const heard = new WeakMap<FollowedRun, Heard>();
  let listed = "";
  while (!signal.aborted) {
    await folder.look();
    const list = JSON.stringify({ ids: folder.runs.map(({ id }) => id), note: folder.note });
    if (list !== listed) await stream.writeSSE({ event: "list", data: list });
    listed = list;
    for (const run of folder.runs) {
      await run.look();
      const news = run.news(heard.get(run));
      if (signal.aborted) return;
      if (news === null) continue;
      await stream.writeSSE({ event: "run", data: JSON.stringify(news.update) });
      heard.set(run, news.heard);
    }
    await pause(LOOK_MS, signal);
  }
}

/** Waits, or ends earlier when it is no longer worth waiting. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
