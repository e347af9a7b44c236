import type { Settings } from "../config/settings.js";
import type { Batch } from "../data/packing.js";
import { diskParameters, type ModelSource } from "../loading/model-source.js";
import { type CausalLM, modelParts } from "../models/causal-lm.js";

/**
 * Tokens that are looked at, and the largest table that is read for it: larger ones belong to models that know more.
 */
const MOST_TOKENS = 16;
const MOST_WEIGHTS = 2 ** 24;

/** Loss, in nats, above which a head that stays as it is keeps adapters from learning. */
const TOO_HIGH = 0.5;

/**
 * The loss that adapters cannot get much below while the head and the final norm are frozen, if that is much; else
 * null. What a norm puts out has a fixed length, so a head whose rows are short or alike, as of a model that has
 * learned little, can favour no token much. Each token gets the state of that length that points along its row.
 */
export async function unreachableLoss(
  { readWeight }: ModelSource,
  model: CausalLM,
  { method, trainModules }: Pick<Settings, "method" | "trainModules">,
  { labels }: Batch,
): Promise<number | null> {
  const { hiddenSize, vocabSize, tieWordEmbeddings } = model.config;
  const isTrained = method === "full" || trainModules.includes(tieWordEmbeddings ? "embeddings" : "head");
  if (isTrained || vocabSize * hiddenSize > MOST_WEIGHTS) return null;
  const named = [...diskParameters(model)];
  const parts = modelParts(model);
  const [headName] = named.find(([, parameter]) => parameter === model.headWeight) ?? [];
  const [normName] = named.findLast(([, each]) => parts.get(each) === "norms" && each.size === hiddenSize) ?? [];
  if (headName === undefined || normName === undefined) return null;
  const [rows, gains] = [await readWeight(headName), await readWeight(normName)];
  const loss = meanLoss(rows, gains, commonTokens(labels));
  return loss > TOO_HIGH ? loss : null;
}

function commonTokens(labels: Int32Array): [token: number, count: number][] {
  const counts = new Map<number, number>();
  for (const label of labels) if (label >= 0) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, MOST_TOKENS);
}

function meanLoss(rows: Float32Array, gains: Float32Array, tokens: readonly [token: number, count: number][]): number {
  const size = gains.length;
  let [nats, all] = [0, 0];
  for (const [token, count] of tokens) {
    const towards = gains.map((gain, i) => gain * rows[token * size + i]!);
    const length = Math.sqrt(towards.reduce((total, value) => total + value ** 2, 0));
    const state = towards.map((value, i) => (Math.sqrt(size) * value * gains[i]!) / length);
    let [total, own] = [0, 0];
    for (let row = 0; row < rows.length; row += size) {
      let logit = 0;
      for (let i = 0; i < size; i++) logit += rows[row + i]! * state[i]!;
      total += Math.exp(logit);
      if (row === token * size) own = logit;
    }
    nats += count * (Math.log(total) - own);
    all += count;
  }
  return all === 0 ? 0 : nats / all;
}
