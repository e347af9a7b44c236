import {
  acquireLock,
  appendLine,
  exists,
  folderOf,
  isDirectory,
  type Lock,
  makeFolder,
  openForReading,
  publishFile,
  removeTree,
} from "#platform";
import { OBJECT, requireArguments, TEXT } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { Listeners } from "../base/listeners.js";
import { optionName } from "../base/naming.js";
import type { Conversation } from "../chats/chat-rendering.js";
import { loadDataset } from "../data/dataset.js";
import { type Prompt, promptOf } from "../data/prompts.js";
import { describePlace } from "../data/records.js";
import { locateData } from "../hub/locate-data.js";
import { inputsOf, requireApart, requireNewFile } from "../loading/output-folder.js";
import type { Answer } from "../programs/text-generator.js";
import { writePythonJson } from "../python/json.js";
import { type ManyOptions, Writer, type WriterOptions } from "./generate.js";
import { readBy } from "./target.js";

/** Options of {@link answerData}. */
export interface AnswerDataOptions extends WriterOptions, ManyOptions {
  /** A file, a folder, or the name of a data set on the hub, of prompts with or without answers. */
  readonly data: string;
  /** The file to write, which must be new. */
  readonly out: string;
  /** Columns whose names do not say what they are, as ROLE=COLUMN. Default: none. */
  readonly columns?: readonly string[];
  /** True asks plain prompts as the user of a chat. Default and null: as training reads them. */
  readonly chat?: boolean | null;
  /** A system message in front of chats that have none. Default and null: none. */
  readonly system?: string | null;
  /** Hears how far it is: at the beginning, and after each answer. */
  readonly onProgress?: (progress: AnswerProgress) => void;
}

export interface AnswerProgress {
  readonly answered: number;
  readonly prompts: number;
  /** Tokens of the answers. */
  readonly tokens: number;
}

/** The outcome of {@link answerData}. */
export interface AnsweredData extends AnswerProgress {
  readonly outcome: "done" | "stopped";
  /** The file with the answers: `out`, or `OUT.partial` if the signal stopped the work; null if there are none. */
  readonly file: string | null;
  /** Seconds from the first prompt to the last answer. */
  readonly seconds: number;
  /** Answers that ended at `maxNewTokens`. */
  readonly cut: number;
  /** Answers whose text had filled the model's context. */
  readonly restarted: number;
}

/**
 * Answers every prompt of the data and writes a line for each in their order: `prompt` and `completion`, or `messages`
 * with the answer as the last; and `finish`, why it ended. The file appears when it is whole. Until then the answers
 * stand in `OUT.partial`, which stays if the signal or an error ends the work; `OUT.lock` keeps other processes off.
 * @throws ConfigError if `out` exists, is being written or lies in what is read, and if `OUT.partial` is of others;
 * DataError naming each record that cannot be asked; CheckpointError.
 */
export async function answerData(target: string, options: AnswerDataOptions): Promise<AnsweredData> {
  requireArguments("answerData", { target: TEXT, options: OBJECT }, { target, options });
  requireArguments("answerData", { data: TEXT, out: TEXT }, { ...options });
  const listeners = new Listeners(options.signal);
  return listeners.resultOf(answer(target, { ...listeners.guarded(options), signal: listeners.signal }));
}

async function answer(target: string, options: AnswerDataOptions): Promise<AnsweredData> {
  const { data, out, columns = [], chat = null, system = null, signal, onProgress = () => {} } = options;
  const partial = `${out}.partial`;
  const inputs = [...readBy(target, options), ...inputsOf({ data })];
  await requireNewFile(out, inputs);
  await requireApart(partial, inputs, { kind: "file" });
  await requireAnswers(partial);
  const { source, config } = await locateData(data, options);
  const { train, validation } = await loadDataset(source, { validationFraction: 0, columns, config, isAsking: true });
  const records = [...train, ...validation];
  const writer = await Writer.open(target, options);
  let lock: Lock | undefined;
  try {
    const asking = { asChat: chat, hasTemplate: writer.hasTemplate };
    const prompts = records.map((record) => withSystem(promptOf(record, asking), system));
    await makeFolder(folderOf(out));
    lock = await acquireLock(`${out}.lock`, out);
    // The process that held the lock until now may have written it.
    await requireNewFile(out, inputs);
    await requireAnswers(partial);
    await removeTree(partial);
    const progress = { answered: 0, prompts: prompts.length, tokens: 0 };
    const ends = { cut: 0, restarted: 0 };
    onProgress({ ...progress });
    const start = performance.now();
    const early = new Map<number, Answer>();
    const write = async (place: number): Promise<void> => {
      await appendLine(partial, lineOf(prompts[place]!, early.get(place)!));
      early.delete(place);
    };
    try {
      let next = 0;
      const nameOf = (place: number): string => describePlace(records[place]!.place);
      for await (const [place, answer] of writer.answerEach(prompts, options, nameOf)) {
        early.set(place, answer);
        progress.answered++;
        progress.tokens += answer.tokens;
        if (answer.finish === "length") ends.cut++;
        if (answer.contextRestarts > 0) ends.restarted++;
        onProgress({ ...progress });
        for (; early.has(next); next++) await write(next);
      }
    } catch (error) {
      // Answers that wait for one before them are kept too.
      for (const place of [...early.keys()].sort((a, b) => a - b)) await write(place);
      if (signal?.aborted !== true) throw error;
    }
    const isDone = progress.answered === prompts.length;
    if (isDone) await publishFile(partial, out, { replace: false });
    const seconds = (performance.now() - start) / 1000;
    const file = isDone ? out : progress.answered === 0 ? null : partial;
    return { outcome: isDone ? "done" : "stopped", file, ...progress, ...ends, seconds };
  } finally {
    await lock?.release();
    await writer.release();
  }
}

/** The beginning of a file that `lineOf` made. */
const ANSWERS = /^(?:$|\{"(?:prompt|messages)":.*,"finish":"\w+"\}\n)/;
const MAX_LINE_BYTES = 2 ** 24;

/** Requires that a file, if there is one, holds answers of an earlier call, so that it may be removed. */
async function requireAnswers(partial: string): Promise<void> {
  if (!(await exists(partial))) return;
  if (!(await isDirectory(partial))) {
    const file = await openForReading(partial);
    const start = await file.read(0, Math.min(file.size, MAX_LINE_BYTES)).finally(() => file.close());
    if (ANSWERS.test(new TextDecoder().decode(start))) return;
  }
  throw new ConfigError(
    `${optionName("out")}: ${partial}, where the answers stand until they are whole, holds something else; move it ` +
      "elsewhere, or name another file",
  );
}

function lineOf(prompt: Prompt, { text, finish }: Answer): string {
  const line =
    typeof prompt === "string"
      ? { prompt, completion: text, finish }
      : {
          messages: [...prompt.messages, { role: "assistant", content: text }],
          ...(prompt.tools !== undefined && { tools: prompt.tools }),
          ...variablesOf(prompt),
          finish,
        };
  return writePythonJson(line);
}

/** The names that the template saw beside messages and tools, as records have them. */
function variablesOf({ documents, templateVariables }: Conversation): { readonly chat_template_kwargs?: object } {
  const variables = { ...templateVariables, ...(documents !== undefined && { documents }) };
  return Object.keys(variables).length === 0 ? {} : { chat_template_kwargs: variables };
}

/** A chat with a system message in front, if it has none. */
function withSystem(prompt: Prompt, system: string | null): Prompt {
  if (system === null || typeof prompt === "string" || prompt.messages[0]?.role === "system") return prompt;
  return { ...prompt, messages: [{ role: "system", content: system }, ...prompt.messages] };
}
