import type { FuzzTarget } from "./target.js";
import { bitsandbytes } from "./targets/bitsandbytes.js";
import { checkpoint } from "./targets/checkpoint.js";
import { config } from "./targets/config.js";
import { rows, text } from "./targets/data.js";
import { deltaLog } from "./targets/delta-log.js";
import { chatTemplate, parquet } from "./targets/fine-tuning.js";
import { gguf } from "./targets/gguf.js";
import { ggufModel } from "./targets/gguf-model.js";
import { metrics } from "./targets/metrics.js";
import { modelFolder } from "./targets/model-folder.js";
import { onnx } from "./targets/onnx.js";
import { peft } from "./targets/peft.js";
import { safetensors } from "./targets/safetensors.js";
import { tokenizer } from "./targets/tokenizer.js";

/** Every reader of files that may come from strangers. */
export const TARGETS: readonly FuzzTarget[] = [
  ...[safetensors, modelFolder, bitsandbytes, peft, checkpoint, deltaLog, onnx, gguf, ggufModel],
  ...[metrics, config, tokenizer, text, rows, chatTemplate, parquet],
];

/** The target by its name, in which `-` may stand for a space. */
export function targetNamed(name: string): FuzzTarget {
  const plain = (text: string): string => text.toLowerCase().replaceAll(" ", "-");
  const target = TARGETS.find((one) => plain(one.name) === plain(name));
  if (target === undefined)
    throw new Error(`--target: there is no ${name}; there are ${TARGETS.map((one) => plain(one.name)).join(", ")}`);
  return target;
}
