import type { Finding, RunCheck } from "../verbs/doctor/check-run.js";
import type { Outlet } from "./outlet.js";
import { type Environment, fillLines, type Style, singleLine, styleFor } from "./terminal.js";

/** Columns of the area and of the state, each with the gap behind it. */
const [AREA, STATE] = [19, 12];

const STYLES: Readonly<Record<Finding["state"], keyof Style>> = {
  ok: "green",
  unchecked: "dim",
  repairable: "yellow",
  damaged: "red",
};

/** Prints the findings about a run folder, a paragraph for each, and a verdict. */
export function runCheckLines(check: RunCheck, outlet: Outlet, env: Environment): string[] {
  const style = styleFor(outlet, env);
  const columns = Math.max(60, Math.min(100, outlet.columns));
  const lines = check.findings.flatMap(({ area, state, what, wayOut }) => {
    const head = area.padEnd(AREA) + style[STYLES[state]](state.padEnd(STATE));
    const [first = "", ...rest] = wrapped(what, columns - AREA - STATE);
    return [
      `${head}${first}`.trimEnd(),
      ...rest.map((line) => " ".repeat(AREA + STATE) + line),
      ...(wayOut === null
        ? []
        : wrapped(`-> ${wayOut}`, columns - AREA).map((line) => " ".repeat(AREA) + style.bold(line))),
    ];
  });
  return [...lines, "", verdict(check)];
}

function verdict({ runFolder, state, isRunning, findings }: RunCheck): string {
  if (isRunning) return `${runFolder} is being written: it is sound as far as that can be told now.`;
  if (state === "ok") return `${runFolder} is sound.`;
  if (state === "repairable") return `${runFolder} lost nothing: highrank resume repairs what is repairable.`;
  const damaged = findings.filter((finding) => finding.state === "damaged").length;
  return `${runFolder} is damaged in ${damaged === 1 ? "one place" : `${damaged} places`}; each says what can be done.`;
}

/** The text in lines of at most this many columns; a longer word gets a line of its own. */
function wrapped(text: string, columns: number): string[] {
  return fillLines(singleLine(text).split(" "), 1, columns).map((words) => words.join(" "));
}
