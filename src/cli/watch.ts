import { spawn } from "node:child_process";
import process from "node:process";
import type { Command } from "commander";
import type { Context } from "./context.js";
import { withInterrupts } from "./interrupts.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  port: {
    type: "integer",
    default: null,
    none: "6116, or a free one",
    min: 0,
    max: 65_535,
    help: "Port of the page on 127.0.0.1; 0 for any that is free.",
  },
  open: { type: "boolean", default: false, help: "Open the page in the browser." },
} as const satisfies OptionTable;

const HELP_AFTER = `
RUN or FOLDER: a run folder, or a folder that holds runs or studies. The page
follows its runs while they go on, and shows several over one another. Only
programs of this machine reach it. Ctrl-C ends it; the runs go on.`;

/** `highrank watch [RUN|FOLDER]` */
export function addWatch(program: Command, context: Context): void {
  const command = addVerb(program, "watch", "a page that follows runs while they go on")
    .argument("[RUN|FOLDER]", "a run folder, or a folder of runs", "runs")
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  command.action(async (target: string) => {
    const { port, open } = readOptions(command, OPTIONS);
    const { watch } = await import("../verbs/watch/watch.js");
    const { url, close } = await watch(target, { port });
    context.result({ url }, () => [`Watching ${target} at ${url} (Ctrl-C ends)`]);
    if (open) openInBrowser(url, context);
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const onFirst = (): "wait" => {
      end();
      return "wait";
    };
    await withInterrupts(onFirst, ended.then(close));
  });
}

/** The programs by which systems open an address. */
const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ["open"],
  win32: ["cmd", "/c", "start", ""],
};

function openInBrowser(url: string, context: Context): void {
  const [program, ...words] = OPENERS[process.platform] ?? ["xdg-open"];
  const opener = spawn(program, [...words, url], { stdio: "ignore", detached: true });
  opener.on("error", () => context.note(`no browser could be opened by ${program}; open ${url}`));
  opener.unref();
}
