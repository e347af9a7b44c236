import { joinPath, listFolder, makeFolder } from "#platform";
import { largest } from "../base/numbers.js";
import { type EventValue, fileBeginning, joined, summaryEvent } from "./event-file.js";
import type { HeldOutSample } from "./held-out-sample.js";
import type { MetricsRecord } from "./metrics.js";
import type { RunFolder } from "./run-folder.js";

export const TENSORBOARD_FOLDER = "tensorboard";
/** TensorBoard reads the files of a folder in the order of their names. */
const EVENT_FILE = /^events\.out\.tfevents\.(\d{10})\.highrank$/;

/** Files in RUN/tensorboard that highrank did not write. */
export async function filesBesideEvents(folder: string): Promise<string[]> {
  return (await listFolder(folder)).filter((name) => !EVENT_FILE.test(name));
}

/** Writes the records of a run into RUN/tensorboard too, as event files. */
export class TensorBoardLog {
  readonly #folder: RunFolder;
  #file: string | undefined;

  constructor(folder: RunFolder) {
    this.#folder = folder;
  }

  /** To be called when the record is among those of the folder. */
  async record(record: MetricsRecord): Promise<void> {
    await this.#folder.writeAlone(async (path) => {
      await makeFolder(joinPath(path, TENSORBOARD_FOLDER));
      if (this.#file === undefined) this.#file = await this.#begin(path);
      else await this.#folder.append(path, this.#file, bytesOf([record], now()));
    });
  }

  /** A file of its own for each process, which stands in place of the steps that are done again. Returns its name. */
  async #begin(path: string): Promise<string> {
    const { records } = this.#folder;
    const started = records.findLastIndex(({ kind }) => kind === "start");
    const last = largest(
      (await listFolder(joinPath(path, TENSORBOARD_FOLDER))).map((name) => Number(EVENT_FILE.exec(name)?.[1] ?? 0)),
      0,
    );
    const isFirst = last === 0;
    const number = String(Math.max(Math.floor(now()), last + 1)).padStart(10, "0");
    const file = joinPath(TENSORBOARD_FOLDER, `events.out.tfevents.${number}.highrank`);
    const begin = fileBeginning(now(), isFirst ? null : (records[started]?.step ?? 0) + 1);
    // Of a run that was begun without event files, all steps so far.
    const known = bytesOf(isFirst ? records : records.slice(started), now());
    await this.#folder.append(path, file, joined([begin, known]));
    return file;
  }
}

const now = (): number => Date.now() / 1000;

function bytesOf(records: readonly MetricsRecord[], wallTime: number): Uint8Array {
  const parts = records.flatMap((record) => {
    const values = eventValues(record);
    return values.length === 0 ? [] : [summaryEvent(wallTime, record.step, values)];
  });
  return joined(parts);
}

/** The numbers and texts of a record, by the names under which TensorBoard shows them. */
export function eventValues(record: MetricsRecord): EventValue[] {
  switch (record.kind) {
    case "step": {
      const { loss, learningRate, learningRates, gradNorm, tokens, tokensPerSecond, computedPerSecond } = record;
      const rates = Object.entries(learningRates ?? {}).map(
        ([group, rate]) => [`learning_rate/${group}`, rate] as const,
      );
      return scalars("train", [
        ["loss", loss],
        ["learning_rate", learningRate],
        ...rates,
        ["gradient_norm", gradNorm],
        ["tokens", tokens],
        ["tokens_per_second", computedPerSecond ?? tokensPerSecond],
      ]);
    }
    case "eval": {
      const { loss, perplexity, standardError, sample, samples = [] } = record;
      return [
        ...scalars("eval", [
          ["loss", loss],
          ["perplexity", perplexity],
          ["standard_error", standardError],
        ]),
        ...(sample === "" ? [] : [{ tag: "sample/text_summary", value: asCode(sample) }]),
        ...samples.map((each, i) => ({ tag: `held_out_${i + 1}/text_summary`, value: conversationOf(each) })),
      ];
    }
    case "quantize":
      return scalars("quantize", [
        ["loss_before", record.lossBefore],
        ["loss_after", record.lossAfter],
        ["relative_error", record.relativeError],
      ]);
    case "merge":
      return scalars("merge", [
        ["loss_before", record.lossBefore],
        ["loss_after", record.lossAfter],
        ["update_norm", record.deltaNorm],
        ["recovered", record.recovered],
        ["codes_changed", record.codesChanged],
        ["probe_logits_change", record.probeLogitsChange],
        ["rank", record.rank],
      ]);
    case "reset":
      return scalars("reset", [["zeroed_fraction", record.zeroedFraction]]);
    default:
      return [];
  }
}

/** Those of the values that are known. */
function scalars(
  group: string,
  values: readonly (readonly [name: string, value: number | null | undefined])[],
): EventValue[] {
  return values.flatMap(([name, value]) => (value == null ? [] : [{ tag: `${group}/${name}`, value }]));
}

function conversationOf({ prompt, messages, text, reference }: HeldOutSample): string {
  const turns = messages?.map(({ role, content }) => [role, content] as const) ?? [["prompt", prompt ?? ""] as const];
  const all = [...turns, ["model", text] as const, ...(reference === undefined ? [] : [["data", reference] as const])];
  return all.map(([name, words]) => `**${name}**\n\n${asCode(words)}`).join("\n\n");
}

/** As TensorBoard's Markdown shows a text to the character. */
function asCode(text: string): string {
  return text.replace(/^/gm, "    ");
}
