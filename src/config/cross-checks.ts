import { adapterKind } from "../adapters/kinds.js";
import { MERGE_POLICY_KINDS } from "../adapters/merge-policies.js";
import { optionName } from "../base/naming.js";
import { isFourBitType } from "../ops/four-bit-codes.js";
import { isPruning } from "../optim/reset.js";
import { firstStretch } from "./derive.js";
import { isModelPreset } from "./presets.js";
import type { SettingKey, Settings } from "./settings.js";

/** A rule that ties several settings together. */
interface CrossCheck {
  /** Settings that the rule reads, the one to blame first. The rule is skipped if one of them is already at fault. */
  readonly keys: readonly [SettingKey, ...SettingKey[]];
  /**
   * The fault, or null where the rule holds.
   * @param isDerived true for settings that follow from others, as nobody gave them.
   */
  readonly fault: (settings: Settings, isDerived: (key: SettingKey) => boolean) => string | null;
  /** The least maxSteps with which the rule holds: what to ask for where the others stay, as in a run under way. */
  readonly leastSteps?: (settings: Settings) => number;
}

/** Merges of a run: far more than one of years has, and few enough to be listed. */
const MOST_MERGES = 1_000_000;

export const CROSS_CHECKS: readonly CrossCheck[] = [
  {
    keys: ["chatDate"],
    fault: ({ chatDate }) =>
      chatDate === null || isDay(chatDate)
        ? null
        : `${optionName("chatDate")}: must be a day such as 2026-03-31, got ${chatDate}`,
  },
  {
    keys: ["adapterFrom", "method", "model"],
    fault: ({ adapterFrom, method, model }) =>
      adapterFrom === null || method === "full" || !isModelPreset(model)
        ? null
        : `${optionName("adapterFrom")}: is for the model that its adapter was trained on, and ${model} has random ` +
          `weights; name the model with ${optionName("model")}`,
  },
  {
    keys: ["warmStartSteps", "adapterFrom", "method"],
    fault: ({ warmStartSteps, adapterFrom, method }) =>
      adapterFrom === null || method === "full" || warmStartSteps === 0
        ? null
        : `${optionName("warmStartSteps")}: must be 0 with ${optionName("adapterFrom")}, whose adapter is for the ` +
          `model as it is, got ${warmStartSteps}`,
  },
  {
    keys: ["mergePolicy", "adapterFrom", "method", "quantize"],
    fault: ({ mergePolicy, adapterFrom, method }) =>
      adapterFrom === null || method === "full" || !MERGE_POLICY_KINDS[mergePolicy].startsFromResidual
        ? null
        : `${optionName("mergePolicy")}: ${mergePolicy} starts adapters near what rounding changes, and ` +
          `${optionName("adapterFrom")} from its adapter; choose another policy, as delta-log`,
  },
  {
    keys: ["quantize", "method"],
    fault: ({ quantize, method }) =>
      quantize === "none" || method !== "full"
        ? null
        : `${optionName("quantize")}: ${quantize} is for weights that stay frozen; method full trains them, so use ` +
          `${optionName("method")} lora or relora`,
  },
  {
    keys: ["doubleQuant", "quantize"],
    fault: ({ doubleQuant, quantize }) =>
      !doubleQuant || isFourBitType(quantize)
        ? null
        : `${optionName("doubleQuant")}: is for nf4 and fp4, whose scales it quantizes, not for quantize ${quantize}`,
  },
  {
    keys: ["quantBlockSize"],
    fault: ({ quantBlockSize: size }) =>
      Number.isInteger(Math.log2(size))
        ? null
        : `${optionName("quantBlockSize")}: must be a power of two from 16 to 4096, got ${size}; ` +
          `${2 ** Math.round(Math.log2(size))} is the nearest`,
  },
  {
    keys: ["totalBatchSize", "batchSize"],
    fault: ({ totalBatchSize, batchSize }) =>
      totalBatchSize % batchSize === 0
        ? null
        : `${optionName("totalBatchSize")}: must be a multiple of ${optionName("batchSize")} (${batchSize}), got ` +
          `${totalBatchSize}; ${Math.ceil(totalBatchSize / batchSize) * batchSize} is the next`,
  },
  {
    keys: ["maxSteps", "maxTrainTokens", "totalBatchSize", "sequenceLength"],
    fault: ({ maxSteps, maxTrainTokens, totalBatchSize, sequenceLength }) =>
      maxSteps > 0
        ? null
        : `${optionName("maxTrainTokens")}: must cover the first step, ${optionName("totalBatchSize")} (${totalBatchSize}) ` +
          `rows of up to ${optionName("sequenceLength")} (${sequenceLength}) tokens, got ${maxTrainTokens}; name more, ` +
          `or fewer rows of a step`,
  },
  {
    keys: ["targetModules", "method"],
    fault: ({ targetModules, method }) =>
      method === "full" || targetModules.length > 0
        ? null
        : `${optionName("targetModules")}: must name at least one layer for method ${method}; method full trains ` +
          "without adapters",
  },
  {
    keys: ["layersToTransform"],
    fault: ({ layersToTransform }) =>
      layersToTransform.every((layer) => /^\d+$/.test(layer))
        ? null
        : `${optionName("layersToTransform")}: must be numbers of layers, from 0, got ${layersToTransform.join(", ")}`,
  },
  {
    keys: ["rankPattern"],
    fault: ({ rankPattern }) =>
      rankPattern.every((entry) => /^.+=0*[1-9]\d*$/.test(entry))
        ? null
        : `${optionName("rankPattern")}: must be a list of NAME=RANK with ranks of at least 1, such as q_proj=8, got ` +
          `${rankPattern.join(", ")}`,
  },
  {
    keys: ["alphaPattern"],
    fault: ({ alphaPattern }) =>
      alphaPattern.every((entry) => /^.+=\d*\.?\d+$/.test(entry) && Number(entry.slice(entry.lastIndexOf("=") + 1)) > 0)
        ? null
        : `${optionName("alphaPattern")}: must be a list of NAME=ALPHA with alphas above 0, such as q_proj=16, got ` +
          `${alphaPattern.join(", ")}`,
  },
  {
    keys: ["adapterKind", "method"],
    fault: ({ adapterKind: name, method }) => {
      const { noCycles } = adapterKind(name);
      return noCycles === undefined || method !== "relora"
        ? null
        : `${optionName("adapterKind")}: ${name} is for method lora. With relora ${noCycles}; use ` +
            `${optionName("method", "lora")}, or leave it out`;
    },
  },
  {
    keys: ["restartShare", "adapterKind"],
    fault: ({ adapterKind: name, restartShare }) =>
      restartShare === 1 || adapterKind(name).hasDirections
        ? null
        : `${optionName("restartShare")}: an adapter of the kind ${name} has no directions that restart alone; leave ` +
          `it out with ${optionName("adapterKind")} ${name}`,
  },
  {
    keys: ["mergePolicy", "adapterKind", "quantize"],
    fault: ({ adapterKind: name, mergePolicy, quantize }) =>
      adapterKind(name).startsNear || quantize === "none" || !MERGE_POLICY_KINDS[mergePolicy].startsFromResidual
        ? null
        : `${optionName("mergePolicy")}: ${mergePolicy} starts adapters elsewhere than at zero, which the kind ` +
          `${name} cannot; use delta-log`,
  },
  {
    keys: ["restartShare", "mergePolicy", "quantize"],
    fault: ({ restartShare, mergePolicy, quantize }) =>
      restartShare === 1 || quantize === "none" || !MERGE_POLICY_KINDS[mergePolicy].startsFromResidual
        ? null
        : `${optionName("mergePolicy")}: ${mergePolicy} starts whole adapters anew, and ` +
          `${optionName("restartShare")} below 1 only a part of them; use delta-log`,
  },
  {
    keys: ["optimizerReset", "restartShare"],
    fault: ({ optimizerReset, restartShare }) =>
      restartShare === 1 || !isPruning(optimizerReset)
        ? null
        : `${optionName("optimizerReset")}: ${optimizerReset} prunes whole tensors, and ` +
          `${optionName("restartShare")} below 1 restarts a part of them; use reset or primed`,
  },
  {
    keys: ["patience", "evalEvery"],
    fault: ({ patience, evalEvery }) =>
      patience === null || evalEvery !== null
        ? null
        : `${optionName("patience")}: counts evaluations, and ${optionName("evalEvery", null)} makes none before ` +
          `the last step; say how many steps lie between them`,
  },
  {
    keys: ["warmStartSteps", "maxSteps", "method"],
    fault: ({ warmStartSteps, maxSteps, method }) =>
      method === "full" || warmStartSteps < maxSteps
        ? null
        : `${optionName("warmStartSteps")}: must be below the ${maxSteps} steps of the run, or no step is left ` +
          `for the adapters, got ${warmStartSteps}; lower it, or use ${optionName("method", "full")}`,
    leastSteps: ({ warmStartSteps }) => warmStartSteps + 1,
  },
  {
    keys: ["reloraEvery", "warmStartSteps", "maxSteps", "method"],
    fault: ({ reloraEvery, warmStartSteps, maxSteps, method }) =>
      method !== "relora" || reloraEvery <= maxSteps - warmStartSteps
        ? null
        : `${optionName("reloraEvery")}: must be at most the ${maxSteps - warmStartSteps} steps with adapters ` +
          `(${optionName("maxSteps")} − ${optionName("warmStartSteps")}), got ${reloraEvery}; lower it, or use ` +
          `${optionName("method", "lora")} to never restart`,
    leastSteps: ({ reloraEvery, warmStartSteps }) => warmStartSteps + reloraEvery,
  },
  {
    keys: ["maxSteps", "epochs"],
    fault: ({ maxSteps, epochs }) =>
      maxSteps <= Number.MAX_SAFE_INTEGER
        ? null
        : `${optionName("epochs")}: makes a run of ${maxSteps} steps, more than can be counted, got ${epochs}; lower it`,
  },
  {
    keys: ["reloraEvery", "warmStartSteps", "maxSteps", "method"],
    fault: ({ reloraEvery, warmStartSteps, maxSteps, method }) => {
      const merges = Math.ceil((maxSteps - warmStartSteps) / reloraEvery);
      return method !== "relora" || merges <= MOST_MERGES
        ? null
        : `${optionName("reloraEvery")}: must make at most ${MOST_MERGES} merges, each of which leaves a file, in the ` +
            `${maxSteps - warmStartSteps} steps with adapters, got ${reloraEvery}, which makes ${merges}; raise it`;
    },
  },
  {
    keys: ["schedule", "restart", "method"],
    fault: ({ schedule, restart, method }) =>
      method !== "relora" || restart === "fixed" || schedule !== "cosine_restarts"
        ? null
        : `${optionName("schedule")}: cosine_restarts falls to 0 before each restart, and with ` +
          `${optionName("restart")} when-full none is known beforehand; use cosine, or ${optionName("restart")} fixed`,
  },
  {
    keys: ["cycleLength", "reloraEvery", "method"],
    fault: ({ cycleLength, reloraEvery, method }, isDerived) => {
      const [from, advice] = isDerived("reloraEvery")
        ? [", derived from the steps with adapters", `; give ${optionName("reloraEvery")} too`]
        : ["", ""];
      return method !== "relora" || cycleLength % reloraEvery === 0
        ? null
        : `${optionName("cycleLength")}: must be a multiple of ${optionName("reloraEvery")} (${reloraEvery}${from}), ` +
            `so that restarts fall on merges, got ${cycleLength}${advice}`;
    },
  },
  {
    keys: ["restartWarmupSteps", "cycleLength", "schedule"],
    fault: ({ restartWarmupSteps, cycleLength, schedule }) =>
      schedule !== "cosine_restarts" || restartWarmupSteps < cycleLength
        ? null
        : `${optionName("restartWarmupSteps")}: must be below ${optionName("cycleLength")} (${cycleLength}), got ` +
          `${restartWarmupSteps}`,
  },
  {
    keys: ["warmupSteps", "maxSteps", "warmStartSteps", "cycleLength", "method"],
    fault: (settings) => {
      const { steps, name } = firstStretch(settings);
      return settings.warmupSteps <= steps
        ? null
        : `${optionName("warmupSteps")}: must be at most ${name} (${steps}), got ${settings.warmupSteps}`;
    },
    leastSteps: ({ warmupSteps }) => warmupSteps,
  },
];

function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().slice(0, 10) === text;
}
