import { cpuCount } from "#platform";
import type { OnnxTensorInfo } from "../compiler/onnx-model.js";
import { DEFAULT_SPLIT, openDataset } from "../data/dataset.js";
import { encodeRecords } from "../data/encoded-data.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import { holdOut } from "../data/hold-out.js";
import { type Batch, countScoredLabels, SeparateSamples } from "../data/packing.js";
import { IGNORED_LABEL, type TokenLabels } from "../data/rows.js";
import { readTokenizer } from "../loading/companions.js";
import { float32Model, type UnmergedModel } from "../loading/unmerged-model.js";
import { type Evaluation, HeldOutLoss } from "../programs/held-out.js";
import { OnnxLoss } from "../programs/onnx-loss.js";
import { openRunAsModel } from "../runs/saved-run.js";
import { prepareRun } from "../training/prepare.js";
import type { Target } from "./target.js";

/** Texts that losses are computed on, of a model and of what is made of it. */
export interface LossData {
  /** Where they are from, in words. */
  readonly source: string;
  readonly samples: SeparateSamples;
}

/** Longer rows are cut, as all logits of a row exist at once. */
const MOST_TOKENS = 512;
/** Tokens whose logits exist at once in highrank's own pass. */
const LOSS_CHUNK = 256;

/** Text for models that no data go with. */
const BUILT_IN = "builtin:wordnet";

const machine = () => ({ device: "cpu", threads: cpuCount(), deterministic: false }) as const;

/**
 * About so many tokens to compute losses on: those that a run holds out, and for other models of the built-in text.
 * @throws DataError, CheckpointError or ConfigError where they cannot be read.
 */
export async function lossData(target: Target, unmerged: UnmergedModel, tokens: number): Promise<LossData> {
  if (target.kind === "run") {
    const run = await openRunAsModel(target.folder, target.checkpoint);
    const { heldOut, dataWords, shapes } = await prepareRun(run.settings, run, target.events);
    const samples = samplesOf(heldOut, shapes.heldOut.sequenceLength, tokens);
    return { source: `held out of ${dataWords.source}`, samples };
  }
  const tokenizer = await readTokenizer(unmerged.tokenizerFolder);
  const sequenceLength = Math.min(unmerged.source.build().config.maxSequenceLength, MOST_TOKENS);
  const { kind, validation } = await holdOut(await openDataset(BUILT_IN), DEFAULT_SPLIT);
  const options = { sequenceLength, packing: "auto", trainOnInputs: false } as const;
  const rows = (await encodeRecords(kind, validation, tokenizer, options)).evaluationRows();
  const batches = evaluationBatches(rows, { batchSize: 1, maxTokens: tokens });
  return { source: `held out of ${BUILT_IN}`, samples: samplesOf(batches, sequenceLength, tokens) };
}

/** The first samples, cut, until they score so many tokens. */
export function samplesOf(batches: Iterable<Batch>, sequenceLength: number, tokens: number): SeparateSamples {
  const samples: TokenLabels[] = [];
  let scored = 0;
  for (const { inputIds, labels, lengths = inputIds.length / sequenceLength } of batches) {
    const sizes = typeof lengths === "number" ? new Array<number>(lengths).fill(sequenceLength) : lengths;
    let from = 0;
    for (const size of sizes) {
      if (scored >= tokens) break;
      const end = from + Math.min(size, MOST_TOKENS);
      // A label stands at its own token in a sample; the last token of a sample is only predicted.
      const [ids, own] = [new Int32Array(end - from + 1), new Int32Array(end - from + 1)];
      ids.set(inputIds.subarray(from, end));
      own[0] = IGNORED_LABEL;
      own.set(labels.subarray(from, end), 1);
      const count = countScoredLabels(own);
      if (count > 0) samples.push({ ids, labels: own });
      scored += count;
      from += size;
    }
  }
  return new SeparateSamples(samples);
}

/** The loss of the model in float32, as highrank computes it. */
export async function float32Loss(unmerged: UnmergedModel, { samples }: LossData): Promise<Evaluation> {
  const model = await float32Model(unmerged);
  const heldOut = await HeldOutLoss.compile(model, { ...samples.shapeOf(1), lossChunk: LOSS_CHUNK, ...machine() });
  try {
    return await heldOut.run(evaluationBatches(samples, { batchSize: 1 }));
  } finally {
    await heldOut.release();
  }
}

/** The loss of an ONNX file, as ONNX Runtime computes it. */
export async function onnxLoss(
  path: string,
  inputs: readonly OnnxTensorInfo[],
  { samples }: LossData,
): Promise<number> {
  const decoder = await OnnxLoss.open(path, inputs, machine());
  try {
    return (await decoder.run(evaluationBatches(samples, { batchSize: 1 }))).loss;
  } finally {
    await decoder.release();
  }
}
