import { readdir } from "node:fs/promises";
import path from "node:path";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";

/** The model files of an exported folder, the first one first. */
export async function onnxFiles(model: string): Promise<string[]> {
  return (await readdir(path.join(model, "onnx"))).sort();
}

/** Greedy continuation of a prompt by an exported file alone, a token at a time after the prompt. */
export async function continueText(model: string, prompt: string, tokens: number): Promise<string> {
  const session = await InferenceSession.create(path.join(model, "onnx", (await onnxFiles(model))[0]!));
  const tokenizer = await Tokenizer.fromFolder(model);
  const written: number[] = [];
  let ids = [tokenizer.endOfTextId, ...tokenizer.encode(prompt)];
  let cache: Record<string, OrtTensor> = {};
  for (const { name, ...meta } of session.inputMetadata) {
    const { shape, type } = meta as { readonly shape: readonly number[]; readonly type: string };
    if (!name.startsWith("past_key_values.")) continue;
    const empty = [1, shape[1]!, 0, shape[3]!];
    cache[name] =
      type === "float16"
        ? new OrtTensor("float16", new Uint16Array(0), empty)
        : new OrtTensor("float32", new Float32Array(0), empty);
  }
  for (let past = 0; written.length < tokens; ) {
    const total = past + ids.length;
    const list = (values: readonly number[]) =>
      new OrtTensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const feeds = {
      input_ids: list(ids),
      attention_mask: list(new Array<number>(total).fill(1)),
      position_ids: list(ids.map((_, i) => past + i)),
    };
    const results = await session.run({ ...feeds, ...cache });
    const last = (results.logits!.data as Float32Array).slice(-results.logits!.dims[2]!);
    const next = last.indexOf(Math.max(...last));
    if (next === tokenizer.endOfTextId) break;
    written.push(next);
    ids = [next];
    past = total;
    cache = {};
    for (const [name, value] of Object.entries(results)) {
      if (name.startsWith("present.")) cache[name.replace("present.", "past_key_values.")] = value as OrtTensor;
    }
  }
  return tokenizer.decode(written);
}
