import { readFileSync } from "node:fs";
import { type Profiler, Session } from "node:inspector";
import { findSourceMap } from "node:module";
import { fileURLToPath } from "node:url";

/** A place in a parser where it refuses something. */
export interface FaultSite {
  /** Relative to src/, without extension. */
  readonly source: string;
  /** From 1, of the TypeScript source. */
  readonly line: number;
  readonly code: string;
  readonly reached: boolean;
}

/** Where a parser throws, or notes a fault for the error that it throws later. */
const SITE = /\bthrow\b|\bfaults?\.(?:push|add)\(/g;

/** Functions of the same modules that write: what they refuse comes from the program, not from a file. */
const WRITER =
  /^(write|append|mark|format|goBack|prune|truncate|placement|dataFaults|roundedChunks|tensorChunks|toJsonText|fourBitTensors|int8Tensors)/;

/** Counts from now on what runs. */
export class SiteCoverage {
  readonly #session = new Session();

  constructor() {
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** The fault sites of the sources with whether they ran since the start. */
  take(sources: readonly string[]): FaultSite[] {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    this.#session.post("Profiler.takePreciseCoverage", (error, { result }) => {
      if (error) throw error;
      scripts = result;
    });
    return sources.flatMap((source) => {
      const file = fileURLToPath(new URL(`../../src/${source}.js`, import.meta.url));
      // A module of which nothing ran since the start is left out.
      const functions = scripts.find(({ url }) => url.endsWith(file))?.functions ?? [];
      return sitesOf(source, file, functions);
    });
  }
}

function sitesOf(source: string, file: string, functions: readonly Profiler.FunctionCoverage[]): FaultSite[] {
  const code = readFileSync(file, "utf8");
  const lines = code.split("\n");
  const map = findSourceMap(file);
  const sites = new Map<number, FaultSite>();
  for (const { index } of code.matchAll(SITE)) {
    const before = code.slice(0, index);
    const line = before.split("\n").length - 1;
    const text = lines[line]!.trim();
    const around = functions.filter(({ ranges: [whole] }) => index >= whole!.startOffset && index < whole!.endOffset);
    const isComment = /^(\/?\*|\/\/)/.test(text);
    if (isComment || WRITER.test(functionAt(before))) continue;
    const entry = map?.findEntry(line, index - before.lastIndexOf("\n") - 1);
    const original = entry !== undefined && "originalLine" in entry ? entry.originalLine : line;
    const reached =
      countAt(
        around.flatMap(({ ranges }) => ranges),
        index,
      ) > 0;
    sites.set(original, { source, line: original + 1, code: text, reached });
  }
  return [...sites.values()];
}

/** Name of the function of the module that the code ends in; empty in a class. */
function functionAt(code: string): string {
  return [...code.matchAll(/^(?:export )?(?:(?:async )?function\*? (\w+)|class )/gm)].at(-1)?.[1] ?? "";
}

/** How often the innermost range around the offset ran. */
function countAt(ranges: readonly Profiler.CoverageRange[], offset: number): number {
  let innermost: Profiler.CoverageRange | undefined;
  for (const range of ranges) {
    if (offset < range.startOffset || offset >= range.endOffset) continue;
    if (innermost === undefined || range.endOffset - range.startOffset <= innermost.endOffset - innermost.startOffset)
      innermost = range;
  }
  return innermost?.count ?? 0;
}
