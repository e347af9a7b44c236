import { describe, expect, test } from "vitest";
import { writeLlamaConfig } from "../src/models/llama-config.js";
import { Program } from "../src/runtime/program.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { buildStep, LORA_SCALING, type Step, type StepOptions } from "./llama/step.js";
import { expectClose } from "./ops/close.js";
import { peersAvailable } from "./peers/peer.js";
import { type LlamaConfigJson, runTorchReference, type TorchResult } from "./torch/reference.js";

/** Of the largest entry of each tensor. PyTorch computes in float64, so that the error is ours alone. */
const TOLERANCE = 1e-5;

const CASES: readonly (readonly [what: string, options: StepOptions])[] = [
  ["untied head", {}],
  ["tied head", { tieWordEmbeddings: true }],
  ["grouped queries", { numKeyValueHeads: 2 }],
  ["one key head for all", { numKeyValueHeads: 1, tieWordEmbeddings: true }],
  ["adapters", { rank: 3 }],
  ["adapters, grouped queries, tied head", { rank: 2, numKeyValueHeads: 2, tieWordEmbeddings: true }],
  ["two tokens of context", { rank: 2, time: 2, batch: 5 }],
  ["a longer text", { rank: 8, numKeyValueHeads: 2, time: 64, hiddenSize: 64, intermediateSize: 96, vocabSize: 301 }],
];
/** How the step may be computed: the results are the same mathematics. */
const VARIANTS: readonly (readonly [what: string, options: StepOptions])[] = [
  ["kept activations", {}],
  ["checkpointing", { checkpointing: true }],
  ["chunks of 3 tokens", { chunkSize: 3 }],
  ["checkpointing and chunks of 5 tokens", { checkpointing: true, chunkSize: 5 }],
];

describe.runIf(peersAvailable()).each(CASES)(
  "loss and every gradient as PyTorch autograd has them: %s",
  (_, options) => {
    const reference = askTorch(buildStep(options));

    test.each(VARIANTS)("%s", async (_, variant) => {
      const { outputs, feeds, parameters } = buildStep({ ...options, ...variant });
      const { loss, gradients } = await reference;
      const program = await Program.compile(outputs, { device: "cpu", threads: 2 });
      const results = await program.run(feeds);
      await program.release();
      expectClose("loss", results.loss!.data, [loss], TOLERANCE);
      expect([...gradients.keys()].sort()).toEqual([...parameters.keys()].sort());
      for (const [name, gradient] of gradients) {
        expect(
          gradient.data.some((value) => value !== 0),
          `${name} gets a gradient`,
        ).toBe(true);
        expectClose(name, results[`grad.${name}`]!.data, gradient.data, TOLERANCE);
      }
    });
  },
);

function askTorch({ model, parameters, feeds, shape }: Step): Promise<TorchResult> {
  return runTorchReference({
    config: writeLlamaConfig(model.config) as unknown as LlamaConfigJson,
    weights: new Map(
      [...parameters].map(([name, { shape, values }]): [string, HostTensor] => [
        name,
        { dtype: "float32", shape, data: values },
      ]),
    ),
    inputIds: { dtype: "int32", shape, data: feeds.ids },
    labels: { dtype: "int32", shape, data: feeds.labels },
    loraScaling: LORA_SCALING,
    dtype: "float64",
  });
}
