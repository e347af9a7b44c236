/** A setting of the form: its name in the library, what the form calls it, and what stands there at first. */
export interface Field {
  readonly key: string;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  /** Values of a choice, with what the form calls them. */
  readonly choices?: readonly (readonly [value: string, label: string])[];
  readonly number?: { readonly min: number; readonly max?: number; readonly step?: number };
  /** What an empty field stands for. */
  readonly empty?: string;
  /** Shown below "More settings". */
  readonly isMore?: true;
}

const COUNT = { min: 1, step: 1 } as const;

/** Those that a first run asks for, and after them those that few need. */
export const FIELDS: readonly Field[] = [
  {
    ...{ key: "method", label: "Method", value: "relora", hint: "Adapters: merged and restarted, or kept" },
    choices: [
      ["relora", "ReLoRA"],
      ["lora", "LoRA"],
    ],
  },
  { key: "rank", label: "Rank", value: "8", hint: "Of the adapters", number: COUNT },
  { key: "maxSteps", label: "Steps", value: "200", hint: "Updates of the weights", number: COUNT },
  {
    key: "sequenceLength",
    label: "Sequence length",
    value: "64",
    hint: "Tokens in a row",
    number: { min: 2, step: 1 },
  },
  { key: "batchSize", label: "Batch", value: "8", hint: "Rows in a step", number: COUNT },
  {
    ...{ key: "lr", label: "Learning rate", value: "", hint: "The highest", empty: "by model" },
    number: { min: 0 },
  },
  {
    ...{ key: "quantize", label: "Base weights", value: "none", hint: "Format of the frozen weights" },
    choices: [
      ["none", "as they are"],
      ["nf4", "NF4, 4 bits"],
    ],
  },
  {
    ...{ key: "device", label: "Computes on", value: "", hint: "Default: a GPU where there is one" },
    choices: [
      ["", "automatic"],
      ["webgpu", "WebGPU"],
      ["cpu", "CPU (WebAssembly)"],
    ],
    isMore: true,
  },
  {
    ...{ key: "reloraEvery", label: "Merge every", value: "", hint: "Steps, of ReLoRA", empty: "derived" },
    ...{ number: COUNT, isMore: true },
  },
  {
    ...{ key: "vocabSize", label: "Vocabulary", value: "1024", hint: "Tokens, of a model from scratch" },
    ...{ number: { min: 257, step: 1 }, isMore: true },
  },
  {
    ...{ key: "validationFraction", label: "Held out", value: "0.05", hint: "Share of the data to measure on" },
    ...{ number: { min: 0, max: 0.9 }, isMore: true },
  },
  {
    ...{ key: "evalEvery", label: "Measure every", value: "", hint: "Steps", empty: "a tenth" },
    ...{ number: COUNT, isMore: true },
  },
  {
    ...{ key: "saveEvery", label: "Save every", value: "", hint: "Steps", empty: "a tenth" },
    ...{ number: COUNT, isMore: true },
  },
  {
    ...{ key: "chatTemplate", label: "Chat template", value: "", hint: "Of chats", empty: "the model's" },
    isMore: true,
  },
  {
    ...{ key: "samplePrompt", label: "Samples begin", value: "", hint: "Text to go on from", empty: "anew" },
    isMore: true,
  },
  {
    ...{ key: "sampleTokens", label: "Sample tokens", value: "40", hint: "0 for no samples" },
    ...{ number: { min: 0, step: 1 }, isMore: true },
  },
  { key: "seed", label: "Seed", value: "0", hint: "The same gives the same run", number: { min: 0 }, isMore: true },
];
