import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll } from "vitest";
import type { ChatMessage } from "../src/chats/chat-rendering.js";
import { type PeftAdapter, writePeftAdapter } from "../src/formats/peft.js";
import type { Generation } from "../src/programs/text-generator.js";
import { Rng } from "../src/tensor/random.js";
import { generateText, Writer } from "../src/verbs/generate.js";
import { type ModelServer, type ServerOptions, serveTarget } from "../src/verbs/serve/serve.js";
import { type SmallModelOptions, writeSmallModel } from "./small-model.js";

/** A chat template without tokens of its own. */
export const CHATML =
  "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** Writes a random model folder with a chat template. */
export async function writeChatModel(folder: string, options: SmallModelOptions = {}): Promise<void> {
  await writeSmallModel(folder, { seed: 5, maxSequenceLength: 256, ...options });
  const file = path.join(folder, "tokenizer_config.json");
  const config = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...config, chat_template: CHATML }));
}

/** A random adapter for that model, which changes what it says. */
function adapterOf(seed: number): PeftAdapter {
  const rng = new Rng(seed, "adapter");
  const draw = (...shape: [number, number]) => ({
    ...{ dtype: "float32" as const, shape },
    data: Float32Array.from({ length: shape[0] * shape[1] }, () => 0.7 * rng.normal()),
  });
  const layers = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"].map(
    (name) => [name, { loraA: draw(2, 16), loraB: draw(16, 2) }] as const,
  );
  const common = { baseModel: null, dropout: 0, useRslora: false, base: null, rank: 2, alpha: 6 };
  const targetModules = layers.map(([name]) => name);
  return { ...common, modulesToSave: new Map(), targetModules, layers: new Map(layers) };
}

const MACHINE = { device: "cpu", threads: 1 } as const;
const GREEDY = { temperature: 0, topK: null, topP: 1, seed: 0 };
const OPTIONS: ServerOptions = {
  ...{ host: "127.0.0.1", port: 0, apiKey: null, maxQueue: 64, timeLimit: 600, parallel: null, contextTokens: null },
  ...{ adapters: {}, base: null, ...MACHINE },
};

export interface Asking {
  readonly server: ModelServer;
  readonly client: OpenAI;
}

export interface ServedModels {
  /** A folder: `model`, `plain` without a template, or an adapter, `cats` or `dogs`. */
  readonly at: (name: string) => string;
  /** Calls `use` with a server of `model`, or of another, which is closed afterwards. */
  readonly serving: (
    use: (asking: Asking) => Promise<void>,
    options?: Partial<ServerOptions>,
    name?: string,
  ) => Promise<void>;
  /** What `generate` writes, greedily. */
  readonly generated: (prompt: string, maxNewTokens: number, adapter?: string) => Promise<Generation>;
  /** What `generate --chat` answers, greedily. */
  readonly answered: (messages: readonly ChatMessage[], maxNewTokens: number) => Promise<Generation>;
}

/** Models for the tests of a file. */
export function useServedModels(): ServedModels {
  let root = "";
  const at = (name: string): string => path.join(root, name);
  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), "highrank-serve-"));
    await writeChatModel(at("model"), { maxSequenceLength: 2048 });
    await writeSmallModel(at("plain"), { seed: 5, maxSequenceLength: 64 });
    await writePeftAdapter(at("cats"), adapterOf(1));
    await writePeftAdapter(at("dogs"), adapterOf(2));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));
  return {
    at,
    async serving(use, options = {}, name = "model") {
      const server = await serveTarget(at(name), { ...OPTIONS, ...options });
      const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: options.apiKey ?? "none", maxRetries: 0 });
      try {
        await use({ server, client });
      } finally {
        await server.close();
      }
    },
    generated(prompt, maxNewTokens, adapter) {
      const base = adapter === undefined ? null : at("model");
      const options = { ...GREEDY, ...MACHINE, prompt, maxNewTokens, base, adapter: true };
      return generateText(at(adapter ?? "model"), options);
    },
    async answered(messages, maxNewTokens) {
      const writer = await Writer.open(at("model"), { base: null, adapter: true, ...MACHINE });
      try {
        return await writer.answer(messages, { ...GREEDY, maxNewTokens });
      } finally {
        await writer.release();
      }
    },
  };
}
