import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { basename, dirname, resolve } from "node:path";
import { REPOSITORY } from "./step-options.js";

/** Where and of what a measurement was taken. */
export interface Setting {
  readonly cpu: string;
  readonly cores: number;
  /** Processes that wanted to run in the minute before: above 0.5 the figures are not to be trusted. */
  readonly load: number;
  readonly node: string;
  readonly commit: string;
  /** Whether the working tree differed from the commit. */
  readonly dirty: boolean;
  readonly command: string;
  readonly date: string;
  /** Variables of the environment that change how fast the sides are. */
  readonly environment: Readonly<Record<string, string>>;
}

export function setting(): Setting {
  const git = (...args: string[]): string => execFileSync("git", args, { cwd: REPOSITORY, encoding: "utf8" }).trim();
  const flags = process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [];
  const relevant = Object.entries(process.env).filter(([name]) => /^(OMP|OPENBLAS|MALLOC)_/.test(name));
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    load: loadavg()[0]!,
    node: process.version,
    commit: git("rev-parse", "--short", "HEAD"),
    dirty: git("status", "--porcelain") !== "",
    command: [`npm run ${scriptName()}`, ...flags].join(" "),
    date: new Date().toISOString(),
    environment: Object.fromEntries(relevant) as Record<string, string>,
  };
}

/** What package.json calls the program that runs. */
function scriptName(): string {
  const script = process.env.npm_lifecycle_event;
  if (script !== undefined) return script;
  const subject = basename(process.argv[1] ?? "").replace(/\.bench\.js$/, "");
  return subject === "training-step" ? "bench" : `bench:${subject}`;
}

/** The setting as one line under a table. */
export function settingLine({ cpu, cores, load, node, commit, dirty, command, date }: Setting): string {
  const tree = dirty ? `${commit} with uncommitted changes` : commit;
  return `${cpu}, ${cores} cores, load ${load.toFixed(1)} at the start, Node ${node}, commit ${tree}, ${date.slice(0, 10)}: \`${command}\``;
}

/** A Markdown table; the first column is text, the others numbers. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function writeResult(path: string, result: object): void {
  mkdirSync(dirname(resolve(path)), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, undefined, 2)}\n`);
}
