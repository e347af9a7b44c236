import { optionName } from "../base/naming.js";
import { smallest } from "../base/numbers.js";
import { isTextName } from "../data/text-format.js";
import { jobOf } from "./jobs.js";
import type { DerivedKey, SettingKey, Settings } from "./settings.js";

/** Facts of model and data from which settings are derived; each is absent until it is known. */
export interface DataFacts {
  readonly hiddenSize?: number;
  /** The longest row that the model takes, in tokens. */
  readonly modelLength?: number;
  /** Records before any is held out; absent where data for validation are named. */
  readonly records?: number;
  /** Tokens of the longest sample but one, which is those of the row that it needs; absent for text. */
  readonly longestRow?: number;
  /** Tokens of text that is cut into rows. */
  readonly textTokens?: number;
  /** Rows of one pass, at most, that the memory takes. */
  readonly fittingRows?: number;
  readonly rowsPerEpoch?: number;
  /** Rows to train on, in their order, that hold at most so many tokens. */
  readonly rowsWithin?: (tokens: number) => number;
  /** Rows of one evaluation. */
  readonly evaluationRows?: number;
}

/** Settings of which some still follow from the model or the data. */
export type OpenSettings = Omit<Settings, LateKey> & { readonly [K in LateKey]?: Settings[K] | undefined } & {
  /** The maxSteps that was given beside maxTrainTokens; while it is here, maxSteps is open. */
  readonly stepLimit?: number;
};

/** Settings that can be open until model and data are seen. */
type LateKey =
  | (
      | "maxSteps"
      | "batchSize"
      | "sequenceLength"
      | "validationFraction"
      | "lr"
      | "adapterLr"
      | "evalEvery"
      | "saveEvery"
    )
  | ("warmStartSteps" | "reloraEvery" | "cycleLength" | "restartWarmupSteps" | "warmupSteps");

type Known = Settings & Pick<OpenSettings, "stepLimit">;

interface Derivation<K extends DerivedKey> {
  /** Settings that the value is computed from; it is computed after them. */
  readonly from: readonly SettingKey[];
  /** The value; undefined while a fact is missing. */
  readonly value: (settings: Known, facts: DataFacts) => Settings[K] | undefined;
  /** True if it is computed even while one of those settings is open. */
  readonly takesOpen?: true;
}

/** Evaluations of a run, the share of its time that they may take, and what one costs of a training step's row. */
const EVALUATIONS = { most: 10, share: 0.1, cost: 0.5 };

/** Rows of text, where there is enough for so many of them. */
const TEXT_ROWS = { length: 512, count: 64 };

/** Samples that an evaluation should have, and the shares that may be held out for it. */
const HELD_OUT = { samples: 10, least: 0.02, most: 0.1 };

const EPOCHS = 3;
const BATCH = 8;

/** Learning rate of adapters times the width of the model, which the rate suits: see docs/fine-tuning.md. */
const RATE_BY_WIDTH = 0.6;

const isFineTune = (settings: Settings): boolean => jobOf(settings) === "fine-tune";

/** The rule of each setting without a default, in an order in which they can be computed. */
export const DERIVATIONS: { readonly [K in DerivedKey]: Derivation<K> } = {
  totalBatchSize: { from: ["batchSize"], value: ({ batchSize }) => batchSize ?? BATCH, takesOpen: true },
  batchSize: {
    from: ["totalBatchSize"],
    value: ({ totalBatchSize }, { fittingRows }) => {
      if (fittingRows === undefined) return undefined;
      let size = Math.max(1, Math.min(totalBatchSize, Math.floor(fittingRows)));
      while (totalBatchSize % size !== 0) size--;
      return size;
    },
  },
  alpha: { from: ["rank"], value: (settings) => settings.rank * (isFineTune(settings) ? 2 : 1) },
  lr: {
    from: ["model", "method"],
    value: ({ method }, { hiddenSize }) =>
      hiddenSize === undefined
        ? undefined
        : Number(((RATE_BY_WIDTH / hiddenSize) * (method === "full" ? 0.1 : 1)).toPrecision(2)),
  },
  adapterLr: { from: ["lr"], value: ({ lr }) => lr },
  restart: {
    from: ["model", "method", "reloraEvery", "cycleLength", "schedule"],
    // Who names a period or a rate that restarts with it has fixed cycles in mind.
    value: (settings) => {
      const { method, reloraEvery, cycleLength, schedule } = settings;
      const isFixed = reloraEvery !== undefined || cycleLength !== undefined || schedule === "cosine_restarts";
      return method === "relora" && isFineTune(settings) && !isFixed ? "when-full" : "fixed";
    },
    takesOpen: true,
  },
  schedule: {
    from: ["method", "restart", "restartShare", "model"],
    value: (settings) => {
      // What goes on is not to stand still for what restarts, and nobody knows when what is full will restart.
      const standsStill = settings.restart === "fixed" && settings.restartShare === 1;
      if (settings.method === "relora") return standsStill ? "cosine_restarts" : "cosine";
      return isFineTune(settings) ? "linear" : "cosine";
    },
  },
  validationFraction: {
    from: ["data", "validData"],
    value: (_, { records }) =>
      records === undefined
        ? undefined
        : Math.min(HELD_OUT.most, Math.max(HELD_OUT.least, Number((HELD_OUT.samples / records).toPrecision(2)))),
  },
  sequenceLength: {
    from: ["model", "data"],
    value: (_, { modelLength = Number.POSITIVE_INFINITY, longestRow, textTokens }) => {
      if (longestRow === undefined && textTokens === undefined) return undefined;
      const wanted = longestRow ?? Math.min(TEXT_ROWS.length, (textTokens! - 1) / TEXT_ROWS.count);
      return Math.min(Math.max(16, 16 * Math.ceil(wanted / 16)), modelLength);
    },
  },
  epochs: {
    from: ["maxSteps", "maxTrainTokens"],
    value: ({ maxSteps, maxTrainTokens }) => (maxSteps === undefined && maxTrainTokens === null ? EPOCHS : null),
    takesOpen: true,
  },
  maxSteps: {
    from: ["epochs", "maxTrainTokens", "totalBatchSize", "sequenceLength"],
    value: ({ epochs, maxTrainTokens, totalBatchSize, stepLimit }, { rowsPerEpoch, rowsWithin }) => {
      const byEpochs = rowsPerEpoch && Math.max(1, Math.ceil((epochs! * rowsPerEpoch) / totalBatchSize));
      const byTokens = rowsWithin && Math.floor(rowsWithin(maxTrainTokens!) / totalBatchSize);
      const limits = [
        ...(epochs === null ? [] : [byEpochs]),
        ...(maxTrainTokens === null ? [] : [byTokens]),
        ...(stepLimit === undefined ? [] : [stepLimit]),
      ];
      const known = limits.filter((limit) => limit !== undefined);
      return known.length === 0 || known.length < limits.length ? undefined : smallest(known);
    },
  },
  warmStartSteps: {
    from: ["method", "maxSteps"],
    value: (settings) => (settings.method === "full" ? 0 : Math.floor(settings.maxSteps / 4)),
  },
  reloraEvery: {
    from: ["warmStartSteps", "maxSteps"],
    value: (settings) => Math.max(1, Math.ceil((settings.maxSteps - settings.warmStartSteps) / 4)),
  },
  cycleLength: { from: ["reloraEvery"], value: ({ reloraEvery }) => reloraEvery },
  restartWarmupSteps: {
    from: ["cycleLength"],
    value: ({ cycleLength }) => Math.min(50, Math.floor(cycleLength / 10)),
  },
  warmupSteps: {
    from: ["method", "warmStartSteps", "cycleLength", "maxSteps"],
    value: (settings) => Math.min(100, Math.floor(firstStretch(settings).steps / 10)),
  },
  evalEvery: {
    from: ["maxSteps"],
    value: (settings, { evaluationRows }) => {
      if (evaluationRows === undefined) return undefined;
      const { most, share, cost } = EVALUATIONS;
      const { maxSteps: steps, totalBatchSize } = settings;
      const affordable = (share * steps * totalBatchSize) / (cost * Math.max(1, evaluationRows));
      return Math.ceil(steps / Math.max(1, Math.min(most, Math.floor(affordable))));
    },
  },
  evalMilestones: { from: ["evalEvery"], value: ({ evalEvery }) => evalEvery !== null, takesOpen: true },
  saveEvery: { from: ["maxSteps"], value: ({ maxSteps }) => Math.ceil(maxSteps / EVALUATIONS.most) },
};

/** Computes what these facts decide of the settings that are undefined. */
export function derive(settings: OpenSettings, facts: DataFacts): OpenSettings {
  const values: Record<string, unknown> = { ...settings };
  for (const key of Object.keys(DERIVATIONS) as DerivedKey[]) {
    if (values[key] !== undefined) continue;
    const { from, value, takesOpen = false } = DERIVATIONS[key];
    if (takesOpen || from.every((source) => values[source] !== undefined)) {
      values[key] = value(values as Settings, facts);
    }
  }
  if (values.maxSteps !== undefined) delete values.stepLimit;
  const derived = values as OpenSettings;
  return isComplete(derived) ? { ...derived, warmupSteps: warmupInSteps(derived) } : derived;
}

/** True if nothing is left to derive. */
export function isComplete(settings: OpenSettings): settings is Settings {
  return openKeys(settings).length === 0;
}

/** The settings that are still open. */
export function openKeys(settings: OpenSettings): DerivedKey[] {
  return (Object.keys(DERIVATIONS) as DerivedKey[]).filter((key) => settings[key] === undefined);
}

/** True if the settings alone say that all rows are full, as those of text are. */
export function hasFullRows({ data, packing }: Pick<OpenSettings, "data" | "packing">): boolean {
  // A fine-tune has no data until they are named.
  return (packing === "auto" || packing === "joined") && data !== undefined && isTextName(data);
}

/** A warm-up that may have been given as a share of the steps that it can take. */
function warmupInSteps(settings: Settings): number {
  const { warmupSteps } = settings;
  return warmupSteps < 1 ? Math.ceil(warmupSteps * firstStretch(settings).steps) : warmupSteps;
}

/** The steps within which the first warm-up has to end, and the name of what bounds them. */
export function firstStretch(settings: Settings): { steps: number; name: string } {
  const { method, restart, warmStartSteps, cycleLength, maxSteps: run } = settings;
  if (method !== "full" && warmStartSteps > 0) return { steps: warmStartSteps, name: optionName("warmStartSteps") };
  if (method === "relora" && restart === "fixed" && cycleLength < run)
    return { steps: cycleLength, name: optionName("cycleLength") };
  return { steps: run, name: "the steps of the run" };
}
