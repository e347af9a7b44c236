import { TEXT } from "../small-model.js";
import { type Area, train } from "./bad-input.js";

export const settings: Area = {
  title: "Settings and config files",
  rows: [
    {
      name: "several values out of range, all reported at once",
      args: ["train", "--rank", "0", "--lr", "fast", "--method", "qlora"],
      says: [
        '--rank: must be an integer of at least 1, got "0"',
        '--lr: must be a number above 0, got "fast"',
        '--method: must be one of full, lora, relora, got "qlora"',
      ],
      code: 2,
    },
    {
      name: "values of a verb without settings out of range, all reported at once",
      args: ["generate", "model", "--temperature", "-1", "--top-p", "2"],
      says: ["--temperature: must be a number of at least 0", "--top-p: must be a number above 0 and at most 1"],
      code: 2,
    },
    {
      name: "train: a core beside what changes A and B",
      args: ["train", "--core", "--dora", "--method", "lora", "--quantize", "none"],
      says: ["core: trains a core in place of A and B"],
      code: 2,
    },
    {
      name: "train: a core with restarts that it cannot make",
      args: ["train", "--core", "--quantize", "nf4", "--merge-policy", "residual", "--restart-share", "0.5"],
      says: [
        "restartShare: a core mixes all directions of its bases",
        "mergePolicy: residual starts adapters elsewhere than at zero, which a core cannot",
      ],
      code: 2,
    },
    {
      name: "train: flags that a core has no use for",
      args: ["train", "--core", "--quantize", "none", "--adapter-init", "kaiming", "--lora-plus-ratio", "4"],
      says: ["--adapter-init: is for adapters that train A and B, not for --core", "--lora-plus-ratio: is for"],
      code: 2,
    },
    {
      name: "settings of adapters that fit no method or are none",
      args: ["train", "--method", "relora", "--dora", "--layers-to-transform", "first", "--rank-pattern", "q_proj:8"],
      says: [
        "dora: is for method lora",
        "layersToTransform: must be numbers of layers, from 0, got first",
        "rankPattern: must be a list of NAME=RANK",
      ],
      code: 2,
    },
    {
      name: "a flag beside its other name",
      args: ["train", "--rank", "8", "--lora-r", "16"],
      says: ["is another name of rank"],
      code: 2,
    },
    {
      name: "settings that do not fit together",
      args: ["train", "--batch-size", "8", "--total-batch-size", "12"],
      says: ["must be a multiple of batchSize (8), got 12"],
      code: 2,
    },
    {
      name: "flags that the method has no use for",
      args: ["train", "--method", "full", "--rank", "8", "--relora-every", "50"],
      says: ["--rank: is for adapters, of which method full has none", "--relora-every: is for method relora"],
      code: 2,
    },
    {
      name: "patience without evaluations",
      args: ["train", "--patience", "3", "--eval-every", "none"],
      says: ["patience: counts evaluations, and --eval-every none makes none before the last step"],
      code: 2,
    },
    {
      name: "a config file that does not exist",
      args: ["train", "nowhere.yaml"],
      says: ["cannot read nowhere.yaml", "no such file"],
      code: 3,
    },
    {
      name: "a config file that is a folder",
      args: ["train", "."],
      says: ["cannot read .", "it is a folder"],
      code: 3,
    },
    {
      name: "a config file that is not text",
      args: ["train", "config.yaml"],
      files: { "config.yaml": Uint8Array.of(0xff, 0xfe, 0x00, 0x80) },
      says: ["config.yaml is not UTF-8 text"],
      code: 3,
    },
    {
      name: "a config file that is not YAML",
      args: ["train", "config.yaml"],
      files: { "config.yaml": "rank: [1, 2\nlr: 3\n" },
      says: ["config.yaml", "at line 2"],
      code: 2,
    },
    {
      name: "a config file that holds no settings",
      args: ["train", "config.yaml"],
      files: { "config.yaml": "- lora\n" },
      says: ['config.yaml: must hold settings, one "name: value" a line, got a list'],
      code: 2,
    },
    {
      name: "an unknown key in a config file",
      args: ["train", "config.yaml"],
      files: { "config.yaml": "rnak: 8\nmethod: lora\n" },
      says: ['config.yaml: unknown setting "rnak"', 'did you mean "rank"?'],
      code: 2,
    },
    {
      name: "restarts that the run is too short for",
      args: ["inspect", "schedule", "--max-steps", "10", "--relora-every", "20"],
      says: ["reloraEvery: must be at most the 8 steps with adapters", "use --method lora"],
      code: 2,
    },
    {
      name: "a device that highrank does not use",
      args: ["train", "--device", "cuda"],
      says: ["--device: must be one of cpu, webgpu"],
      code: 2,
    },
    {
      name: "train: a model that is neither a preset nor a folder",
      args: train("--model", "tinny"),
      files: { "a.txt": TEXT },
      says: ['model: "tinny" is neither', 'did you mean "tiny"?', "60m"],
      code: 2,
    },
    {
      name: "train: a batch that no memory holds",
      args: train("--batch-size", "100000000"),
      files: { "a.txt": TEXT },
      says: ["memory: a batch of 100000000 × 16 tokens has at least", "a smaller --batch-size"],
      code: 2,
    },
    {
      name: "train: a rank that exceeds the layers",
      args: train("--rank", "100"),
      files: { "a.txt": TEXT },
      says: ["rank: 100 exceeds", "model.layers.0.self_attn.q_proj (64 × 64) takes at most 64"],
      code: 2,
    },
    {
      name: "train: targets that match nothing",
      args: train("--target-modules", "q_prj"),
      files: { "a.txt": TEXT },
      says: ['"q_prj" (did you mean "q_proj"?)', "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"],
      code: 2,
    },
  ],
};
