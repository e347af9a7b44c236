import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { injectAdapters, mergeableLayers } from "../../src/adapters/inject.js";
import { LoRAAdapter } from "../../src/adapters/lora-adapter.js";
import { grad } from "../../src/autograd/grad.js";
import { readHostTensor } from "../../src/files/lazy-tensor.js";
import { readSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import { writeModelFolder } from "../../src/formats/model-folder.js";
import { fromStorage, toStorage } from "../../src/formats/model-tensors.js";
import { diskParameters, hostTensors } from "../../src/loading/model-source.js";
import { describeModel } from "../../src/models/architectures.js";
import type { CausalLM } from "../../src/models/causal-lm.js";
import type { Parameter } from "../../src/nn/module.js";
import { Program } from "../../src/runtime/program.js";
import { interpret } from "../../src/runtime/reference.js";
import type { HostTensor, TypedArray } from "../../src/tensor/dtype.js";
import { Rng } from "../../src/tensor/random.js";
import { placeholder } from "../../src/tensor/tensor.js";
import { expectClose } from "../ops/close.js";
import { ask, peersAvailable } from "../peers/peer.js";
import { runCommand, withFolder } from "../run-command.js";

/**
 * Of the largest entry of each tensor. PyTorch computes in float64, and so does the oracle, which differs by tables and results in
 * float32 alone; on the device what is left is rounding.
 */
const TOLERANCES = { oracle: 5e-6, device: 1e-4 };
const LORA_SCALING = 0.5;
const RANK = 3;
const [BATCH, TIME] = [2, 9];

export interface ArchitectureCases {
  /** The file in tests/torch/architectures, without its ending. */
  readonly reference: string;
  /** Linear layers that get adapters: all of them. */
  readonly targets: readonly string[];
  /** config.json of each case. */
  readonly cases: readonly (readonly [what: string, config: Readonly<Record<string, unknown>>])[];
}

/** Compares loss, logits and every gradient of random models, adapters on all linear layers, with PyTorch's. */
export function compareWithTorch({ reference, targets, cases }: ArchitectureCases): void {
  describe.runIf(peersAvailable())(`${reference}: loss, logits and every gradient as PyTorch has them`, () => {
    const questions = new Map(cases.map(([what, config]) => [what, randomQuestion(config, targets)] as const));
    const answers = peersAvailable() ? askTorch(reference, [...questions.values()]) : undefined;

    test.each(cases)("%s", async (what) => {
      const question = questions.get(what)!;
      const { model, parameters, ids, labels } = question;
      const expected = (await answers!).get(question)!;

      for (const options of [{}, { checkpointing: true, chunkSize: 4 }]) {
        const shape = [BATCH, TIME];
        const [x, y] = [placeholder("ids", shape, "int32"), placeholder("labels", shape, "int32")];
        const loss = model.loss(x, y, { ...options, scale: placeholder("scale", []) });
        const gradients = grad(loss, [...parameters.values()]);
        const outputs = Object.fromEntries([...parameters.keys()].map((name, i) => [`grad.${name}`, gradients[i]!]));
        const computed = { loss, logits: model.logits(x), ...outputs };
        const program = await Program.compile(computed, { device: "cpu", threads: 1 });
        const feeds = { ids, labels, scale: Float32Array.of(1 / labels.filter((label) => label >= 0).length) };
        const results = await program.run(feeds);
        await program.release();
        const exact = interpret(Object.values(computed), { feeds, precision: "float64" });
        expect(Object.keys(computed).sort()).toEqual([...expected.keys()].sort());
        for (const [index, name] of Object.keys(computed).entries()) {
          const { data } = expected.get(name)!;
          expect(isTrivial(data), `${name} is not all zero`).toBe(false);
          expectClose(`${name} by the oracle`, exact[index]!, data, TOLERANCES.oracle);
          expectClose(name, results[name]!.data, data, TOLERANCES.device);
        }
      }
    });

    test("through the command line, without and with an adapter", async () => {
      const [, config] = cases[0]!;
      const model = randomModel(config, targets);
      const parameters = namedLikePeft(model);
      const ids = randomTokens(model);
      const labels = ids.map((_id, i) => ((i + 1) % TIME === 0 ? -100 : ids[i + 1]!));
      const base = new Map([...parameters].filter(([name]) => !name.includes(".lora_")));
      await withFolder({}, async (folder) => {
        await writeModelFolder(join(folder, "base"), { config, tensors: toStorage(hostTensors(base), model.storage) });
        const rows = [0, 1].map((row) =>
          JSON.stringify({ input_ids: [...ids.subarray(row * TIME, (row + 1) * TIME)] }),
        );
        writeFileSync(join(folder, "rows.jsonl"), rows.join("\n"));
        writePeftFolder(join(folder, "adapter"), model, targets);
        const lora = hostTensors(new Map([...parameters].filter(([name]) => name.includes(".lora_"))));
        await writeSafetensors(
          join(folder, "adapter/adapter_model.safetensors"),
          new Map([...lora].map(([name, tensor]) => [`base_model.model.${name}`, tensor])),
        );
        for (const [given, target] of [
          [base, ["base"]],
          [parameters, ["adapter", "--base", "base"]],
        ] as const) {
          const { loss } = JSON.parse(await highrank(folder, ["eval", ...target, "--data", "rows.jsonl", "--json"]));
          const question = { config, model, parameters: given, ids, labels };
          const expected = (await askTorch(reference, [question])).get(question)!;
          expect(Math.abs(loss - expected.get("loss")!.data[0]!)).toBeLessThan(1e-5);
        }
      });
    });

    test("no two cases compute the same", async () => {
      const losses = cases.map(async ([, config]) => {
        const model = randomModel(config, targets);
        const x = placeholder("ids", [1, TIME], "int32");
        const program = await Program.compile({ logits: model.logits(x) }, { device: "cpu", threads: 1 });
        const { logits } = await program.run({ ids: Int32Array.from({ length: TIME }, (_, i) => i) });
        await program.release();
        return logits!.data.slice(-4).join(" ");
      });
      expect(new Set(await Promise.all(losses)).size).toBe(cases.length);
    });
  });
}

/** What PyTorch is to compute. */
interface Question {
  readonly config: Readonly<Record<string, unknown>>;
  readonly model: CausalLM;
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

function randomQuestion(config: Question["config"], targets: readonly string[]): Question {
  const model = randomModel(config, targets);
  const labels = randomTokens(model).map((id, i) => (i % 5 === 3 ? -100 : id));
  return { config, model, parameters: namedLikePeft(model), ids: randomTokens(model), labels };
}

/** A model of which no parameter is at its usual start, with adapters as if trained. */
export function randomModel(config: Readonly<Record<string, unknown>>, targets: readonly string[]): CausalLM {
  const rng = new Rng(3, "architecture");
  const model = describeModel(config).create(rng.fork("model"));
  const createAdapter = (inFeatures: number, outFeatures: number, adapterRng: Rng): LoRAAdapter =>
    new LoRAAdapter(inFeatures, outFeatures, { rank: RANK, alpha: RANK * LORA_SCALING }, adapterRng);
  injectAdapters(model, { targetModules: targets, createAdapter }, rng.fork("adapters"));
  for (const [name, parameter] of diskParameters(model)) {
    const draw = rng.fork(name);
    const isMatrix = parameter.rank === 2;
    // Attention far from uniform and logits far from equal, but neither saturated.
    const spread = isMatrix ? 1.2 / Math.sqrt(Math.min(...parameter.shape)) : 0.2;
    const centre = isMatrix || parameter.values[0] === 0 ? 0 : 1;
    parameter.assign(parameter.values.map(() => centre + spread * draw.normal()));
  }
  return model;
}

function randomTokens({ config: { vocabSize } }: CausalLM): Int32Array {
  const rng = new Rng(7, "tokens");
  return Int32Array.from({ length: BATCH * TIME }, () => rng.below(vocabSize));
}

/** An adapter folder as PEFT writes it, without its tensors. */
function writePeftFolder(folder: string, model: CausalLM, targets: readonly string[]): void {
  mkdirSync(folder);
  const transposed = [...mergeableLayers(model).keys()].some((name) => model.storage.isTransposed(`${name}.weight`));
  const sizes = { r: RANK, lora_alpha: RANK * LORA_SCALING, target_modules: targets };
  writeFileSync(
    join(folder, "adapter_config.json"),
    JSON.stringify({ peft_type: "LORA", task_type: "CAUSAL_LM", fan_in_fan_out: transposed, ...sizes }),
  );
}

async function highrank(cwd: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(args, { cwd });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

function namedLikePeft(model: CausalLM): Map<string, Parameter> {
  const rename = (name: string): string =>
    name.replace(".adapter.loraA", ".lora_A.weight").replace(".adapter.loraB", ".lora_B.weight");
  return new Map([...diskParameters(model)].map(([name, parameter]) => [rename(name), parameter] as const));
}

const isTrivial = (data: TypedArray): boolean => data.every((value) => value === 0);

/** loss, logits and grad.NAME of each, in the shapes that the model has. */
async function askTorch(
  reference: string,
  questions: readonly Question[],
): Promise<Map<Question, Map<string, HostTensor>>> {
  const folder = mkdtempSync(join(tmpdir(), "highrank-torch-"));
  try {
    const files = (question: number): string[] =>
      ["in", "out"].map((end) => join(folder, `${question}.${end}.safetensors`));
    for (const [index, { config, model, parameters, ids, labels }] of questions.entries()) {
      const tensors = toStorage(hostTensors(parameters), model.storage);
      tensors.set("input_ids", { dtype: "int32", shape: [BATCH, TIME], data: ids });
      tensors.set("labels", { dtype: "int32", shape: [BATCH, TIME], data: labels });
      const metadata = { config: JSON.stringify(config), lora_scaling: String(LORA_SCALING) };
      await writeSafetensors(files(index)[0]!, tensors, metadata);
    }
    await ask("reference", "compare", { name: reference, files: questions.map((_, index) => files(index)) });
    const answers = new Map<Question, Map<string, HostTensor>>();
    for (const [index, question] of questions.entries()) {
      answers.set(question, await readAnswer(files(index)[1]!, question.model));
    }
    return answers;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function readAnswer(file: string, { storage }: CausalLM): Promise<Map<string, HostTensor>> {
  const results = new Map<string, HostTensor>();
  const gradients = new Map<string, HostTensor>();
  for (const [name, tensor] of (await readSafetensors(file)).tensors) {
    if (name.startsWith("grad.")) gradients.set(name.slice("grad.".length), tensor);
    else results.set(name, tensor);
  }
  for (const [name, tensor] of fromStorage(gradients, storage).tensors) {
    results.set(`grad.${name}`, await readHostTensor(tensor));
  }
  return results;
}
