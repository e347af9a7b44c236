// Makes tests/old-runs/b3f4354 anew, or only the named runs of it: node tests/old-runs/make.mjs CHECKOUT [RUN...], where
// CHECKOUT is that commit, installed and built.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { observe } from "./observe.mjs";

const checkout = path.resolve(process.argv[2]);
const load = (module) => import(pathToFileURL(path.join(checkout, "dist", module)).href);

const { trainTokenizer } = await load("data/train-tokenizer.js");
const { writeModelFolder } = await load("checkpoints/model-folder.js");
const { storeAs } = await load("checkpoints/lazy-tensor.js");
const { LlamaForCausalLM } = await load("models/llama.js");
const { llamaConfig, writeLlamaConfig } = await load("models/llama-config.js");
const { Rng } = await load("tensor/random.js");
const { diskParameters, hostTensors } = await load("training/model-source.js");
const { resolveSettings, startTraining } = await load("index.js");

const COMMON = {
  model: "model",
  data: "text.txt",
  validationFraction: 0.1,
  rank: 4,
  batchSize: 2,
  sequenceLength: 24,
  lr: 2e-3,
  adapterLr: 8e-3,
  evalEvery: 3,
  evalTokens: 400,
  sampleTokens: 4,
  saveEvery: 4,
  keepCheckpoints: 1,
  threads: 2,
};

/** Name -> settings, and the step after which the run was stopped. */
const RUNS = {
  // Stopped between its first merge, after step 7, and its second, after step 11.
  "relora-nf4": {
    untilStep: 9,
    method: "relora",
    quantize: "nf4",
    quantBlockSize: 32,
    warmStartSteps: 3,
    reloraEvery: 4,
    restartWarmupSteps: 1,
    maxSteps: 15,
    totalBatchSize: 4,
    alpha: 8,
    dropout: 0.1,
    weightDecay: 0.01,
    checkpointing: true,
    seed: 1,
  },
  "lora-dora": {
    untilStep: 4,
    method: "lora",
    dora: true,
    data: "samples.jsonl",
    targetModules: ["q_proj", "v_proj", "down_proj"],
    rankPattern: ["down_proj=2"],
    rslora: true,
    adapterInit: "kaiming",
    loraPlusRatio: 4,
    warmupSteps: 2,
    maxSteps: 10,
    loadBest: true,
    seed: 2,
  },
  // Stopped between its first merge, after step 6, and its second, after step 10.
  "relora-core": {
    untilStep: 8,
    method: "relora",
    core: true,
    quantize: "int8",
    mergePolicy: "error-feedback",
    optimizerReset: "primed",
    restartBatches: 2,
    trainModules: ["norms"],
    adapterLr: 0.05,
    warmStartSteps: 2,
    reloraEvery: 4,
    maxSteps: 12,
    seed: 3,
  },
  // With columns and keys that this version read nothing from.
  "lora-chats": {
    untilStep: 5,
    method: "lora",
    data: "chats.jsonl",
    chatTemplate: "template.jinja",
    sequenceLength: 48,
    maxSteps: 10,
    seed: 4,
  },
};
const named = process.argv.slice(3);

const target = path.join(import.meta.dirname, "b3f4354");
const folder = mkdtempSync(path.join(tmpdir(), "highrank-old-runs-"));
process.chdir(folder); // With relative names only, no path of the machine gets into a run.
if (named.length === 0) rmSync(target, { recursive: true, force: true });
writeData();
await writeModel();

const file = path.join(target, "expected.json");
const expected = named.length === 0 ? {} : JSON.parse(readFileSync(file, "utf8"));
for (const [name, { untilStep, ...settings }] of Object.entries(RUNS)) {
  if (named.length > 0 && !named.includes(name)) continue;
  const flags = { ...COMMON, ...settings, out: name };
  await startTraining(resolveSettings({ flags }), { untilStep, onRecord: () => {} }).done;
  rmSync(path.join(name, "report.html"), { force: true });
  cpSync(name, path.join(target, name), { recursive: true });
  expected[name] = await observe(path.join(checkout, "dist/cli/main.js"), { name, folder });
}
for (const data of ["text.txt", "samples.jsonl", "chats.jsonl"]) cpSync(data, path.join(target, data));
writeFileSync(file, `${JSON.stringify(expected, null, 2)}\n`);
rmSync(folder, { recursive: true });

function writeData() {
  const animals = ["cat", "dog", "hen", "cow", "pig", "owl"];
  const deeds = ["sleeps", "runs", "eats", "sings"];
  const pairs = animals.flatMap((animal) => deeds.map((deed) => [animal, deed]));
  const sentences = pairs.flatMap(([animal, deed]) =>
    animals.map((other) => `The ${animal} ${deed} and the ${other} sees it.`),
  );
  const samples = pairs.map(([animal, deed], i) => ({
    prompt: `Who ${deed}?`,
    completion: ` The ${animal}${i % 3 === 0 ? `, and the ${animals[i % 5]} sees it` : ""}.`,
  }));
  writeFileSync("text.txt", `${sentences.join("\n\n")}\n`);
  const chats = pairs.map(([animal, deed], i) => ({
    messages: [
      ...(i % 2 === 1 ? [{ role: "system", content: "Be" }] : []),
      { role: "user", content: `Who ${deed}?` },
      { role: "assistant", content: `The ${animal}.`, ...(i % 4 === 0 && { weight: 0 }) },
      ...(i % 3 === 0
        ? [
            { role: "user", content: "So?" },
            { role: "assistant", content: "It is." },
          ]
        : []),
    ],
    ...(i % 5 === 0 && { tools: [{ type: "function", function: { name: deed, parameters: {} } }] }),
    ...(i % 6 === 0 && { chat_template_kwargs: { loud: true }, system: "No", note: animal }),
  }));
  const template =
    "{% if tools %}{{ tools | length }}{% endif %}{% for m in messages %}{{ m.role[0] }}:" +
    "{{ m.content | upper if loud else m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}";
  writeFileSync("template.jinja", template);
  writeFileSync("chats.jsonl", `${chats.map((chat) => JSON.stringify(chat)).join("\n")}\n`);
  writeFileSync("samples.jsonl", `${samples.map((sample) => JSON.stringify(sample)).join("\n")}\n`);
}

/** A random Llama with a hidden size of 16, in two layers, and its tokenizer. */
async function writeModel() {
  const words = [
    "The cat sleeps and the dog sees it.",
    "Who runs? The hen, and the cow eats.",
    "The pig sings, the owl.",
  ];
  const tokenizer = trainTokenizer(words, { vocabSize: 280, maxLength: 48 });
  const { vocabSize, endOfTextId } = tokenizer;
  const sizes = { hiddenSize: 16, intermediateSize: 24, numLayers: 2, numHeads: 2, maxSequenceLength: 48 };
  const config = llamaConfig({ ...sizes, vocabSize, endOfTextId, initializerRange: 0.2 });
  const tensors = hostTensors(diskParameters(new LlamaForCausalLM(config, new Rng(0))));
  await writeModelFolder("model", {
    config: { ...writeLlamaConfig(config), torch_dtype: "float32" },
    tensors: new Map([...tensors].map(([name, tensor]) => [name, storeAs(tensor, "F32")])),
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
      ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
    ]),
  });
}
