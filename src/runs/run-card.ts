import { baseName, exists, joinPath } from "#platform";
import { lostInAdapter } from "../adapters/merge-policies.js";
import { formatBytes, formatCount, formatDuration } from "../base/numbers.js";
import { isModelPreset } from "../config/presets.js";
import type { Settings } from "../config/settings.js";
import { readCard, writeCard } from "../files/own-card.js";
import type { CardForm } from "../formats/card-loading.js";
import { type CardBase, type CardFacts, modelCard, statedIn } from "../formats/model-card.js";
import { isCommit, parseHubName } from "../hub/hub-name.js";
import type { EndRecord, EvalRecord, MetricsRecord } from "./metrics.js";

/** What is known of a run when its card is written. */
export interface RunFacts {
  /** Its folder. */
  readonly folder: string;
  readonly settings: Settings;
  readonly records: readonly MetricsRecord[];
}

/** What a form is, for people. */
export const FORM_WORDS: Readonly<Record<CardForm["kind"], string>> = {
  adapter: "An adapter",
  model: "A model",
  onnx: "A model in ONNX",
  gguf: "A model as a GGUF file",
  "gguf-adapter": "An adapter as a GGUF file",
};

/** The facts of the card of something that a run's model or adapter was written as. */
export async function runCardFacts({ folder, settings, records }: RunFacts, form: CardForm): Promise<CardFacts> {
  const origin = originOf(settings);
  const isAdapter = form.kind === "adapter" || form.kind === "gguf-adapter";
  const base = isAdapter && (origin === null || settings.warmStartSteps > 0) ? OWN_BASE : origin;
  const quantizer = records.findLast((record) => record.kind === "start")?.quantizer ?? null;
  const lost = isAdapter ? lostInAdapter(settings.mergePolicy, quantizer) : null;
  const begun = origin === null ? "random weights" : origin.name;
  const summary = `${FORM_WORDS[form.kind]} that highrank trained, begun with ${begun}.`;
  const { license } = statedIn((await readCard(joinPath(folder, "base"))) ?? "");
  return {
    title: `${origin === null ? settings.model : origin.name.split("/").at(-1)!}, ${settings.method}`,
    form,
    base,
    relation: isAdapter ? "adapter" : form.kind === "model" ? "finetune" : "quantized",
    summary: lost === null ? summary : `${summary} No loss of it was measured: ${lost}.`,
    license,
    datasets: [...new Set([settings.data, settings.validData].flatMap((data) => hubDataOf(data) ?? []))],
    languages: [],
    tags: settings.method === "full" ? [] : [...new Set([settings.adapterKind, settings.method])],
    training: trainingRows(settings, records),
    losses: lost === null ? lossRows(records) : [],
  };
}

/** True if the data of a run are chats, so that its model answers them. */
export function isChatRun(records: readonly MetricsRecord[]): boolean {
  return records.findLast((record) => record.kind === "start")?.outline?.isChat === true;
}

/** Writes the cards of RUN/model and RUN/adapter, as far as they are there. @throws CheckpointError if the disk fails. */
export async function writeRunCards(run: RunFacts, published: { readonly model: boolean }): Promise<void> {
  const isChat = isChatRun(run.records);
  const forms: CardForm[] = [
    { kind: "adapter", hasTokenizer: false, isChat },
    ...(published.model ? [{ kind: "model", isQuantized: false, isChat } as const] : []),
  ];
  for (const form of forms) {
    const folder = joinPath(run.folder, form.kind);
    if (await exists(folder)) await writeCard(folder, modelCard(await runCardFacts(run, form)));
  }
}

/** RUN/base, the model that adapters go onto where a run had trained all of it before. */
const OWN_BASE: CardBase = { name: "base", isOfHub: false, revision: null };

/** The model that a run began with, of the hub, or a folder or file; null for random weights. */
function originOf({ model }: Pick<Settings, "model">): CardBase | null {
  if (isModelPreset(model)) return null;
  const ofHub = parseHubName(model);
  // A run names a model of the hub with its commit.
  if (ofHub !== undefined && isCommit(ofHub.revision)) {
    return { name: ofHub.name, isOfHub: true, revision: ofHub.revision };
  }
  return { name: baseName(model), isOfHub: false, revision: null };
}

/** The name of a data set of the hub, which a run has with its commit; undefined for a path. */
function hubDataOf(data: string | null): string | undefined {
  return /^(?:hf:\/\/datasets\/)?([^/:@\s]+\/[^/:@\s]+)(?::[^@/]+)?@[0-9a-f]{40}(?:\/|$)/.exec(data ?? "")?.[1];
}

function trainingRows(settings: Settings, records: readonly MetricsRecord[]): CardFacts["training"] {
  const start = records.findLast((record) => record.kind === "start");
  const end = records.findLast((record) => record.kind === "end");
  const { data, adapterFrom, seed, sequenceLength, totalBatchSize } = settings;
  const outline = start?.outline;
  const method = outline?.method ?? settings.method;
  return [
    ["method", adapterFrom === null ? method : method.replace(adapterFrom, baseName(adapterFrom))],
    ...(start?.quantizer ? [["base in training", start.quantizer] as const] : []),
    ["data", hubDataOf(data) === undefined && !data.startsWith("builtin:") ? baseName(data) : data],
    ...(outline === undefined ? [] : [["learning rate", outline.rate] as const]),
    ["batch", `${totalBatchSize} rows of ${sequenceLength} tokens`],
    ...(end === undefined ? [] : endRows(end)),
    ["seed", String(seed)],
    ...(start === undefined ? [] : [["device", start.device] as const]),
  ];
}

function endRows({ step, tokens, modelStep, seconds, peakMemoryBytes }: EndRecord): CardFacts["training"] {
  const published = modelStep === null || modelStep === step ? "" : `; the model is of step ${modelStep}`;
  return [
    ["steps", `${step}${published}`],
    ["tokens", formatCount(tokens)],
    ["time", formatDuration(seconds)],
    ["peak memory", formatBytes(peakMemoryBytes)],
  ];
}

function lossRows(records: readonly MetricsRecord[]): CardFacts["losses"] {
  const evals = records.filter((record) => record.kind === "eval");
  const { modelStep, losses } = records.findLast((record) => record.kind === "end") ?? {};
  const [first, last] = [evals[0], evals.findLast(({ step }) => modelStep == null || step <= modelStep)];
  if (first === undefined || last === undefined) return [];
  const row = ({ step, loss, tokens }: EvalRecord): CardFacts["losses"][number] => [
    step === 0
      ? `before training, on ${formatCount(tokens)} tokens`
      : `after step ${step}, on ${formatCount(tokens)} tokens`,
    loss.toFixed(4),
  ];
  const exact = losses?.exact ?? null;
  return [
    row(first),
    ...(last === first ? [] : [row(last)]),
    ...(exact === null ? [] : [["of the finished model, in float32", exact.toFixed(4)] as const]),
  ];
}
