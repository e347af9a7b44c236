import { editDistance } from "../base/suggest.js";

/** Other programs' names for our verbs, and words that people try. */
const OTHER_WORDS: Readonly<Record<string, readonly string[]>> = {
  train: ["finetune", "fine-tune", "tune", "fit", "learn", "sft", "lora", "qlora", "relora", "dora", "pretrain"],
  generate: ["run", "infer", "inference", "predict", "complete", "completion", "ask", "answer", "sample"],
  chat: ["talk", "repl", "converse", "interactive"],
  serve: ["server", "api", "listen", "host", "openai"],
  eval: ["test", "evaluate", "evaluation", "validate", "score", "perplexity", "ppl", "benchmark", "bench"],
  resume: ["continue", "go-on", "restart", "extend"],
  merge: ["fuse", "join", "combine", "merge-lora"],
  export: ["convert", "save", "gguf", "onnx"],
  push: ["upload", "publish", "share", "deploy"],
  inspect: ["info", "show", "view", "list", "ls", "describe", "print"],
  doctor: ["check", "verify", "diagnose", "env"],
  data: ["dataset", "datasets", "preview", "prepare", "preprocess"],
  tokenizer: ["tokenize", "encode"],
  compare: ["diff", "study", "ablate"],
  "train --sweep": ["sweep", "grid", "search", "tune-lr"],
  "--help": ["help", "usage"],
  "--version": ["version"],
};

/**
 * The verb that was meant: by another word for it, or by a slip of the finger, which is one letter in three at most.
 * Where no verb is near, all are listed.
 */
export function adviceForVerb(named: string, verbs: readonly string[]): string {
  const word = named.toLowerCase();
  const other = Object.entries(OTHER_WORDS).find(([, words]) => words.includes(word))?.[0];
  const isThere = other !== undefined && (other.startsWith("--") || verbs.includes(other.split(" ")[0]!));
  const slips = Math.max(1, Math.floor(word.length / 3));
  const near = verbs
    .map((verb) => ({ verb, distance: editDistance(word, verb) }))
    .filter(({ verb, distance }) => distance <= Math.min(slips, verb.length - 2))
    .sort((a, b) => a.distance - b.distance)[0];
  const meant = isThere ? other : near?.verb;
  return meant === undefined ? `; there are ${verbs.join(", ")}` : `; did you mean "${meant}"?`;
}
