import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { parseMetrics } from "../src/runs/metrics.js";

/**
 * What two runs have in common that did the same, by relative path: SHA-256 of a file, or its JSON without the folder's name
 * and wall times. The report, the cards, which tell of time and memory, the description of the machine and the kept tokens are left out,
 * and from the metrics where processes began and ended.
 */
export async function runContents(folder: string): Promise<Record<string, unknown>> {
  const contents: Record<string, unknown> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file);
    if (/^(report\.html|env\.json|(model|adapter)\/README\.md|tokens\/.*)$/.test(name)) continue;
    contents[name] = contentOf(name, await readFile(file), path.resolve(folder));
  }
  return contents;
}

function contentOf(name: string, bytes: Buffer, folder: string): unknown {
  const text = (): string => bytes.toString("utf8").replaceAll(folder, "RUN");
  const json = (): Record<string, unknown> => JSON.parse(text());
  if (name === "config.resolved.json") return { ...json(), threads: null, overwrite: false };
  if (name.endsWith("state.json")) return { ...json(), seconds: 0, savingSeconds: 0, records: 0 };
  if (name.endsWith("checksums.json")) return { ...json(), "state.json": "", "adapter_config.json": "" };
  if (name.endsWith("adapter_config.json")) return json();
  if (name === "metrics.jsonl") {
    const records = parseMetrics(text()).filter(({ kind }) => kind !== "start" && kind !== "end");
    return records.map((record) => ({ ...record, tokensPerSecond: 0, computedPerSecond: 0, seconds: 0 }));
  }
  return createHash("sha256").update(bytes).digest("hex");
}
