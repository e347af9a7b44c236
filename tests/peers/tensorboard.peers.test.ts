import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { completeSettings, resolveSettings } from "../../src/config/resolve.js";
import { type MetricsRecord, parseMetrics } from "../../src/runs/metrics.js";
import { eventValues } from "../../src/runs/tensorboard.js";
import { resume } from "../../src/training/resume.js";
import { train } from "../../src/training/train.js";
import { animalText } from "../animal-text.js";
import { SMALL_RUN } from "../small-run.js";
import { ask, describePeers } from "./peer.js";

let root = "";
const at = (...names: string[]): string => path.join(root, ...names);
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-tensorboard-"));
  await writeFile(at("text.txt"), animalText());
});
afterAll(() => rm(root, { recursive: true }));

type Series<T> = Readonly<Record<string, readonly (readonly [step: number, value: T])[]>>;

describePeers("TensorBoard", () => {
  test("reads every number and text of a run once, also where it was killed and steps were done again", async () => {
    const settings = completeSettings(
      resolveSettings({
        flags: {
          ...SMALL_RUN,
          ...{ data: at("text.txt"), out: at("run"), threads: 1, keepCheckpoints: null, log: ["tensorboard"] },
          ...{ quantize: "nf4", sampleTokens: 5 },
        },
      }),
    );
    let done = 0;
    const onRecord = (record: MetricsRecord): void => {
      if (record.kind === "step") done = record.step;
    };
    await train(settings, { onRecord, stopRequested: () => done === 7 });
    // As a kill leaves it: the last event is cut.
    const events = at("run", "tensorboard");
    const [first] = await readdir(events);
    const { length } = await readFile(path.join(events, first!));
    await truncate(path.join(events, first!), length - 5);
    await resume(at("run"), { checkpoint: 4 });

    const records = parseMetrics(await readFile(at("run", "metrics.jsonl"), "utf8"));
    const expected: Record<"scalars" | "texts", Record<string, [number, number | string][]>> = {
      scalars: {},
      texts: {},
    };
    for (const record of records) {
      for (const { tag, value } of eventValues(record)) {
        const isText = typeof value === "string";
        const series = expected[isText ? "texts" : "scalars"];
        series[tag] ??= [];
        series[tag].push([record.step, isText ? value : Math.fround(value)]);
      }
    }
    const found = await ask<{ scalars: Series<number>; texts: Series<string> }>("tensorboard_events", "values", {
      folder: events,
    });
    expect(found).toEqual(expected);
    // What the mapping of the records names, by hand.
    const losses = records.flatMap((each) => (each.kind === "step" ? [[each.step, Math.fround(each.loss)]] : []));
    expect(losses).toHaveLength(11);
    expect(found.scalars["train/loss"]).toEqual(losses);
    expect(found.scalars["train/learning_rate/weights"]).toHaveLength(11 - 3);
    expect(found.scalars["merge/update_norm"]!.length).toBeGreaterThan(1);
    expect(found.texts["held_out_1/text_summary"]).toHaveLength(found.scalars["eval/loss"]!.length);
    expect(await readdir(events)).toHaveLength(2);
  });
});
