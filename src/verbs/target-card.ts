import { baseName, exists, folderOf, isDirectory, joinPath, listFolder, readText } from "#platform";
import { CheckpointError, DataError } from "../base/errors.js";
import { readJsonObject } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { readCard, writeCard } from "../files/own-card.js";
import type { CardForm } from "../formats/card-loading.js";
import { type CardBase, type CardFacts, modelCard, statedIn } from "../formats/model-card.js";
import { isCommit, parseHubName } from "../hub/hub-name.js";
import { readTokenizer } from "../loading/companions.js";
import { pointedStep } from "../runs/checkpoint.js";
import { type MetricsRecord, parseMetrics } from "../runs/metrics.js";
import { FORM_WORDS, runCardFacts } from "../runs/run-card.js";
import { readRunSettings } from "../runs/run-folder.js";
import type { Target } from "./target.js";

/** The card of what a target is written as. @param baseFolder the base of an adapter, if it is at hand. */
export async function targetCard(target: Target, form: CardForm, baseFolder: string | null = null): Promise<string> {
  return modelCard(await factsOf(target, form, baseFolder));
}

/** Writes the card of a file beside it, if the file has a folder of its own. */
export async function writeFileCard(file: string, card: string): Promise<void> {
  const folder = folderOf(file);
  if ((await listFolder(folder)).length === 1) await writeCard(folder, card);
}

/** True if the tokenizer in the folder has a chat template. */
export async function hasChatTemplate(tokenizerFolder: string): Promise<boolean> {
  try {
    return (await readTokenizer(tokenizerFolder)).config.chat_template != null;
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

async function factsOf(target: Target, form: CardForm, baseFolder: string | null): Promise<CardFacts> {
  switch (target.kind) {
    case "run": {
      const { folder, checkpoint } = target;
      const run = { folder, settings: await readRunSettings(folder), records: await recordsOf(folder, checkpoint) };
      return runCardFacts(run, form);
    }
    case "adapter": {
      const config = await readJsonObject(await checkpointPath(target.folder, "adapter_config.json"));
      const named = target.base ?? config.base_model_name_or_path;
      const { license } = await statedBy([target.folder, ...(baseFolder === null ? [] : [baseFolder])]);
      const isAdapter = form.kind === "adapter" || form.kind === "gguf-adapter";
      return {
        ...PLAIN,
        title: titleOf(target.name),
        form,
        base: typeof named === "string" ? await baseNamed(named, config.revision) : null,
        relation: isAdapter ? "adapter" : "finetune",
        summary: `${FORM_WORDS[form.kind]}, ${isAdapter ? "written by highrank" : "which highrank merged from a base and an adapter"}.`,
        license,
        tags: ["lora"],
      };
    }
    case "model": {
      const { name, folder, adapters } = target;
      const { license, languages } = await statedBy([folder]);
      return {
        ...PLAIN,
        title: titleOf(name),
        form,
        base: await baseNamed(name),
        relation: relationOf(form, adapters.length),
        summary: `${FORM_WORDS[form.kind]} that highrank made of ${titleOf(name)}${adapters.length === 0 ? "" : " and adapters for it"}.`,
        license,
        languages,
        tags: form.kind === "model" && form.isQuantized ? ["bitsandbytes"] : [],
      };
    }
  }
}

const PLAIN = { datasets: [], languages: [], training: [], losses: [] } as const;

function relationOf(form: CardForm, adapters: number): CardFacts["relation"] {
  if (adapters > 0) return adapters === 1 ? "finetune" : "merge";
  return form.kind === "model" && !form.isQuantized ? null : "quantized";
}

function titleOf(name: string): string {
  return baseName(parseHubName(name)?.name ?? name);
}

/** A base by the name that was given or is recorded: of the hub, unless something here has it. */
async function baseNamed(name: string, revision: unknown = null): Promise<CardBase> {
  const ofHub = parseHubName(name);
  if (ofHub === undefined || (await exists(name))) return { name: baseName(name), isOfHub: false, revision: null };
  const named = name.includes("@") ? ofHub.revision : revision;
  return { name: ofHub.name, isOfHub: true, revision: typeof named === "string" && isCommit(named) ? named : null };
}

/** What the first card says that states a licence. */
async function statedBy(folders: readonly string[]): Promise<ReturnType<typeof statedIn>> {
  for (const folder of folders) {
    const stated = statedIn(((await isDirectory(folder)) ? await readCard(folder) : null) ?? "");
    if (stated.license.license !== undefined) return stated;
  }
  return statedIn("");
}

/** The records of a run up to a checkpoint; none where they cannot be read, without which a model can be exported. */
async function recordsOf(
  folder: string,
  checkpoint: Extract<Target, { kind: "run" }>["checkpoint"],
): Promise<MetricsRecord[]> {
  try {
    const records = parseMetrics(await readText(joinPath(folder, "metrics.jsonl")));
    if (checkpoint === null) return records;
    const step = typeof checkpoint === "number" ? checkpoint : await pointedStep(folder, checkpoint);
    return records.filter((record) => record.step <= step);
  } catch (error) {
    if (error instanceof CheckpointError || error instanceof DataError) return [];
    throw error;
  }
}
