import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { SMALL_CONFIGS, type SmallConfig, smallModel } from "../../tests/architectures/small-configs.js";
import { PORTABLE_ENCODING } from "../compiler/lower-portable.js";
import { encodeModel } from "../compiler/onnx-model.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Program } from "../runtime/program.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { decoderGraph } from "./onnx-decoder.js";

const [UNTIED, TIED] = ["llama", "llama with shared key heads and a tied head"] as const;

function encode(model: CausalLM): Uint8Array {
  const { constants, weights, ...graph } = decoderGraph(model);
  const initializers = [...weights].map(([name, { shape, values }]) => {
    return { name, dtype: "float32", shape, data: values } as const;
  });
  return encodeModel({ ...graph, initializers: [...constants, ...initializers] }, PORTABLE_ENCODING);
}

/** Logits of whole rows, by the graph that training uses. */
async function wholeLogits(model: CausalLM, rows: readonly (readonly number[])[]): Promise<Float32Array> {
  const ids = tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
  const program = await Program.compile({ logits: model.logits(ids) }, { device: "cpu", threads: 1 });
  const { logits } = await program.run();
  await program.release();
  return logits!.data as Float32Array;
}

type Feeds = Record<string, OrtTensor>;

function integers(rows: readonly (readonly number[])[]): OrtTensor {
  return new OrtTensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length]);
}

/** Positions and masks as Hugging Face's generation makes them of the mask of all tokens so far. */
function tokenFeeds(ids: readonly (readonly number[])[], mask: readonly (readonly number[])[]): Feeds {
  const time = ids[0]!.length;
  const positions = mask.map((row) => {
    const before = (index: number): number => row.slice(0, index).reduce((sum, real) => sum + real, 0);
    return row.map((real, index) => (real === 0 ? 1 : before(index))).slice(-time);
  });
  return { input_ids: integers(ids), attention_mask: integers(mask), position_ids: integers(positions) };
}

function emptyCache(session: InferenceSession, batch: number): Feeds {
  const caches: Feeds = {};
  for (const { name, ...meta } of session.inputMetadata) {
    if (!name.startsWith("past_key_values.")) continue;
    const shape = (meta as { readonly shape: readonly (number | string)[] }).shape;
    expect([shape[0], shape[2]]).toEqual(["batch_size", "past_sequence_length"]);
    caches[name] = new OrtTensor("float32", new Float32Array(0), [batch, shape[1] as number, 0, shape[3] as number]);
  }
  return caches;
}

function nextCache(results: InferenceSession.OnnxValueMapType): Feeds {
  const caches: Feeds = {};
  for (const [name, value] of Object.entries(results)) {
    if (name.startsWith("present.")) caches[name.replace("present.", "past_key_values.")] = value as OrtTensor;
  }
  return caches;
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

const randomRows = (batch: number, time: number): number[][] => {
  const rng = new Rng(batch * 100 + time, "ids");
  return Array.from({ length: batch }, () => Array.from({ length: time }, () => Math.floor(rng.uniform() * 31)));
};

const ALL = Object.keys(SMALL_CONFIGS) as SmallConfig[];

test.each(ALL)("%s: one file computes any rows and tokens, at once or after a cache", async (config) => {
  const model = smallModel(config);
  const session = await InferenceSession.create(encode(model));
  for (const [batch, parts] of [
    [1, [1]],
    [1, [7]],
    [3, [5, 1, 1]],
    [2, [1, 4, 2, 1]],
  ] as const) {
    const time = parts.reduce<number>((sum, part) => sum + part, 0);
    const rows = randomRows(batch, time);
    const whole = await wholeLogits(model, rows);
    let cache = emptyCache(session, batch);
    let done = 0;
    for (const part of parts) {
      const ids = rows.map((row) => row.slice(done, done + part));
      const mask = rows.map(() => new Array<number>(done + part).fill(1));
      const results = await session.run({ ...tokenFeeds(ids, mask), ...cache });
      const logits = results.logits!;
      expect(logits.dims).toEqual([batch, part, 31]);
      expect(results["present.1.key"]!.dims[2]).toBe(done + part);
      for (let row = 0; row < batch; row++) {
        const start = (row * time + done) * 31;
        const own = (logits.data as Float32Array).slice(row * part * 31, (row + 1) * part * 31);
        expect(largestDifference(own, whole.slice(start, start + part * 31))).toBeLessThan(2e-5);
      }
      cache = nextCache(results);
      done += part;
    }
  }
});

test("rows of several lengths, filled up on the left, have the logits that each has alone", async () => {
  const model = smallModel(TIED);
  const session = await InferenceSession.create(encode(model));
  const [long, short] = [randomRows(1, 6)[0]!, randomRows(1, 4)[0]!];
  const mask = [
    [1, 1, 1, 1, 1, 1],
    [0, 0, 1, 1, 1, 1],
  ];
  const { logits } = await session.run({ ...tokenFeeds([long, [0, 0, ...short]], mask), ...emptyCache(session, 2) });
  const data = logits!.data as Float32Array;
  expect(largestDifference(data.slice(0, 6 * 31), await wholeLogits(model, [long]))).toBeLessThan(2e-5);
  expect(largestDifference(data.slice(8 * 31), await wholeLogits(model, [short]))).toBeLessThan(2e-5);
});

test("a tied head is held once, and nothing in the graph depends on when it was built", () => {
  const [untied, tied] = [smallModel(UNTIED), smallModel(TIED)];
  expect([...decoderGraph(untied).weights.keys()]).toContain("lm_head.weight");
  expect([...decoderGraph(tied).weights.keys()]).not.toContain("lm_head.weight");
  expect(encode(tied)).toEqual(encode(tied));
});
