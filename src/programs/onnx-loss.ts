import { largest } from "../base/numbers.js";
import type { OnnxTensorInfo } from "../compiler/onnx-model.js";
import type { Batch } from "../data/packing.js";
import { IGNORED_LABEL } from "../data/rows.js";
import { createSession, type FedTensor, type OrtSession, type SessionOptions } from "../runtime/session.js";
import type { Evaluation } from "./held-out.js";

/** Token-weighted mean cross-entropy of a decoder in an ONNX file, as ONNX Runtime computes it. */
export class OnnxLoss {
  readonly #session: OrtSession;
  readonly #empty: Readonly<Record<string, FedTensor>>;

  private constructor(session: OrtSession, empty: Readonly<Record<string, FedTensor>>) {
    this.#session = session;
    this.#empty = empty;
  }

  /** Loads the file at `path`, which has these inputs, those of `decoderGraph`. Must be released. */
  static async open(path: string, inputs: readonly OnnxTensorInfo[], options: SessionOptions): Promise<OnnxLoss> {
    const empty: Record<string, FedTensor> = {};
    for (const { name, dtype, shape: declared } of inputs) {
      if (!name.startsWith("past_key_values.")) continue;
      // One row, and nothing in the cache.
      const shape = declared.map((size) => (size === "batch_size" ? 1 : typeof size === "string" ? 0 : size));
      empty[name] =
        dtype === "float16"
          ? { dtype, shape, data: new Uint16Array(0) }
          : { dtype: "float32", shape, data: new Float32Array(0) };
    }
    return new OnnxLoss(await createSession(path, options), empty);
  }

  /** @param batches of one sample each. */
  async run(batches: Iterable<Batch>): Promise<Omit<Evaluation, "standardError">> {
    let [nats, tokens] = [0, 0];
    for (const { inputIds, labels } of batches) {
      const time = inputIds.length;
      const row = (value: (i: number) => number): FedTensor => {
        const data = BigInt64Array.from({ length: time }, (_, i) => BigInt(value(i)));
        return { dtype: "int64", shape: [1, time], data };
      };
      const feeds = {
        input_ids: row((i) => inputIds[i]!),
        attention_mask: row(() => 1),
        position_ids: row((i) => i),
        ...this.#empty,
      };
      const { logits } = await this.#session.run(feeds, ["logits"]);
      const vocabulary = logits!.shape[2]!;
      for (const [i, label] of labels.entries()) {
        if (label === IGNORED_LABEL) continue;
        nats += crossEntropy(logits!.data.subarray(i * vocabulary, (i + 1) * vocabulary) as Float32Array, label);
        tokens++;
      }
    }
    const loss = nats / tokens;
    return { loss, perplexity: Math.exp(loss), tokens };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

function crossEntropy(logits: Float32Array, label: number): number {
  const most = largest(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.log(sum) + most - logits[label]!;
}
