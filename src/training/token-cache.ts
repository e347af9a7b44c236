import { z } from "zod";
import {
  fileSize,
  isDirectory,
  joinPath,
  listFolder,
  makeFolder,
  openStored,
  readText,
  removeFolderAtomic,
  sha256,
  sha256File,
  writeFileAtomic,
} from "#platform";
import { HighrankError } from "../base/errors.js";
import { COUNT, TEXT } from "../base/fields.js";
import { optionName } from "../base/naming.js";
import { formatBytes, sum } from "../base/numbers.js";
import type { Settings } from "../config/settings.js";
import { dataFilesIn, type OpenDataset } from "../data/dataset.js";
import type { TokenSource } from "../data/encoded-data.js";
import { KEPT_TOKENS, keepTokens, keptBytes, openKeptTokens } from "../data/kept-tokens.js";
import type { DataRecord, ReadingRules } from "../data/records.js";
import { DOCUMENT_UNITS } from "../data/text-format.js";
import { checksumFaults, writeFolder } from "../files/checksums.js";
import type { LocatedData } from "../hub/locate-data.js";
import { parsePythonJson, writePythonJson } from "../python/json.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";

/** The folder of a run that keeps tokens. */
export const TOKENS_FOLDER = "tokens";

const FACTS_FILE = "tokens.json";
const TOKENS_FILE = "tokens.bin";

/** Raised when a file of the same bytes gives other tokens, or the files here change. */
const VERSION = 1;

/** Fewer tokens are made again in a second. */
const LEAST_TOKENS = 2 ** 22;

const GIB = 2 ** 30;

/** What is known of data without their records. */
export interface DataSummary {
  readonly kind: DataRecord["kind"];
  /** The kind before questions became chats or texts. */
  readonly loadedKind: DataRecord["kind"];
  /** A record in words, as `paragraph`. */
  readonly unit: OpenDataset["unit"];
  readonly unused: string;
  /** True if files are for validation. */
  readonly isSplit: boolean;
  /** The first record that is held out, or else to train on. */
  readonly first: DataRecord;
  /** The first records that are held out, of texts their beginnings; none of rows of tokens. */
  readonly heldOut: readonly DataRecord[];
}

/** Data as tokens. */
export interface DataTokens {
  readonly summary: DataSummary;
  readonly train: TokenSource;
  readonly validation: TokenSource;
}

/** What decides, with the content of the files, which tokens the data have. */
export interface TokenInputs {
  readonly data: LocatedData;
  readonly validData: LocatedData | null;
  readonly tokenizer: Tokenizer | null;
  readonly rules: ReadingRules;
  readonly settings: Pick<
    Settings,
    "document" | "columns" | "packing" | "trainOnInputs" | "addSpecialTokens" | "seed" | "validationFraction"
  > & { readonly chatDate: string | null };
}

const KIND: z.ZodType<DataRecord["kind"]> = z.enum([
  "text",
  "prompt-completion",
  "instruction",
  "question-answer",
  "messages",
  "prompt-completion messages",
  "token rows",
]);
const UNIT: z.ZodType<OpenDataset["unit"]> = z.enum([
  ...(["sample", "document", "section"] as const),
  ...DOCUMENT_UNITS,
]);
const CONVERSATION = z.looseObject({ messages: z.array(z.looseObject({ role: TEXT })).min(1) });
const RECORD = z.looseObject({
  kind: KIND,
  text: TEXT.optional(),
  prompt: TEXT.optional(),
  completion: TEXT.optional(),
  conversation: CONVERSATION.optional(),
});
const FACTS = z.object({
  version: z.literal(VERSION),
  key: TEXT,
  bytes: COUNT,
  /** Milliseconds since 1970. */
  written: COUNT,
  summary: z.object({
    ...{ kind: KIND, loadedKind: KIND, unit: UNIT, unused: TEXT, isSplit: z.boolean() },
    ...{ first: RECORD, heldOut: z.array(RECORD) },
  }),
  train: KEPT_TOKENS,
  validation: KEPT_TOKENS,
});

/** Tokens of data on disk, so that a run that goes on need not read and encode the data again. */
export class TokenCache {
  readonly #given: string | null;
  readonly #limitBytes: number;
  readonly #leastTokens: number;

  /** @param leastTokens fewer are not kept. */
  constructor(
    { tokenCache, tokenCacheLimit }: Pick<Settings, "tokenCache" | "tokenCacheLimit">,
    leastTokens: number = LEAST_TOKENS,
  ) {
    this.#given = tokenCache;
    this.#limitBytes = tokenCacheLimit * GIB;
    this.#leastTokens = leastTokens;
  }

  /** The tokens that are kept for these data; null if there are none, or they are damaged. */
  async find(run: string, inputs: TokenInputs): Promise<DataTokens | null> {
    // The data are hashed only where something may be kept of them.
    const place = this.#given ?? joinPath(run, TOKENS_FOLDER);
    if (this.#limitBytes === 0 || !(await isDirectory(place))) return null;
    const key = await keyOf(inputs);
    return readTokens(this.#folderOf(run, key), key);
  }

  #folderOf(run: string, key: string): string {
    return this.#given === null ? joinPath(run, TOKENS_FOLDER) : joinPath(this.#given, key);
  }

  /** Keeps the tokens, unless they are few. Returns why they are not kept if that was to be expected, or else null. */
  async keep(run: string, inputs: TokenInputs, tokens: DataTokens): Promise<string | null> {
    const [train, validation] = [keepTokens(tokens.train), keepTokens(tokens.validation)];
    if (this.#limitBytes === 0 || train.facts.tokens + validation.facts.tokens < this.#leastTokens) return null;
    const bytes = keptBytes(train.facts) + keptBytes(validation.facts);
    const size = formatBytes(bytes);
    if (bytes > this.#limitBytes) {
      return `The tokens of the data, ${size}, are not kept for a resume: that is above ${optionName("tokenCacheLimit")}.`;
    }
    const key = await keyOf(inputs);
    const folder = this.#folderOf(run, key);
    try {
      if (this.#given !== null && (await readTokens(folder, key)) !== null) return null;
      if (this.#given !== null) await makeRoom(this.#given, this.#limitBytes - bytes, key);
      const facts = {
        version: VERSION,
        key,
        bytes,
        written: Date.now(),
        summary: plain(tokens.summary),
        train: train.facts,
        validation: validation.facts,
      };
      await writeFolder(
        folder,
        async (path) => {
          await writeFileAtomic(joinPath(path, TOKENS_FILE), both(train.bytes, validation.bytes));
          await writeFileAtomic(joinPath(path, FACTS_FILE), `${writePythonJson(facts)}\n`);
        },
        { replace: true, checksums: true },
      );
      return null;
    } catch (error) {
      if (!(error instanceof HighrankError)) throw error;
      return `The tokens of the data are not kept for a resume: ${error.text}`;
    }
  }
}

/** The tokens of an entry; null if there is none of that key, or it is damaged: it can be made anew. */
async function readTokens(folder: string, key: string): Promise<DataTokens | null> {
  try {
    return (await isDirectory(folder)) ? await readWhole(folder, key) : null;
  } catch (error) {
    if (error instanceof HighrankError || error instanceof SyntaxError || error instanceof RangeError) return null;
    throw error;
  }
}

async function readWhole(folder: string, key: string): Promise<DataTokens | null> {
  const facts = await readFacts(folder);
  if (facts === null || facts.key !== key || (await checksumFaults(folder)).length > 0) return null;
  const { summary, train, validation } = facts;
  const [path, trainBytes] = [joinPath(folder, TOKENS_FILE), keptBytes(train)];
  if ((await fileSize(path)) !== trainBytes + keptBytes(validation)) return null;
  const bytes = await openStored(path);
  return {
    summary: summary as unknown as DataSummary,
    train: openKeptTokens(bytes, 0, train),
    validation: openKeptTokens(bytes, trainBytes, validation),
  };
}

/** The facts of an entry; null for what is none. @throws HighrankError or SyntaxError if they cannot be read. */
async function readFacts(folder: string): Promise<z.output<typeof FACTS> | null> {
  const facts = FACTS.safeParse(parsePythonJson(await readText(joinPath(folder, FACTS_FILE))));
  return facts.success ? facts.data : null;
}

/** The summary without tokens, which no one asks of its record. */
function plain(summary: DataSummary): DataSummary {
  const { first } = summary;
  return first.kind === "token rows"
    ? { ...summary, first: { ...first, tokens: { ids: NONE, labels: NONE } } }
    : summary;
}

const NONE = new Int32Array(0);

/** Removes the entries that were written first until the others take at most so many bytes. */
async function makeRoom(cache: string, mostBytes: number, kept: string): Promise<void> {
  await makeFolder(cache);
  const entries: { folder: string; bytes: number; written: number }[] = [];
  for (const name of await listFolder(cache)) {
    if (name === kept || !/^[0-9a-f]{64}$/.test(name)) continue;
    const folder = joinPath(cache, name);
    const facts = await readFacts(folder).catch(() => null);
    if (facts !== null) entries.push({ folder, bytes: facts.bytes, written: facts.written });
  }
  entries.sort((a, b) => a.written - b.written);
  let total = sum(entries.map(({ bytes }) => bytes));
  for (const { folder, bytes } of entries) {
    if (total <= mostBytes) return;
    await removeFolderAtomic(folder);
    total -= bytes;
  }
}

/** The same text for data whose tokens are the same. @throws DataError if a file cannot be read. */
async function keyOf({ data, validData, tokenizer, rules, settings }: TokenInputs): Promise<string> {
  const content = tokenizer === null ? null : sha256Text(writePythonJson(tokenizer.content));
  const sources = [await filesOf(data, rules), validData === null ? null : await filesOf(validData, rules)];
  const { document, columns, packing, trainOnInputs, addSpecialTokens, seed, validationFraction, chatDate } = settings;
  const reading = { document, columns, packing, trainOnInputs, addSpecialTokens, seed, validationFraction, chatDate };
  return sha256Text(JSON.stringify([VERSION, rules, content, sources, reading]));
}

/** The files that data are read from, with their content, and the names of those that are left out. */
async function filesOf({ source, config }: LocatedData, rules: ReadingRules): Promise<unknown> {
  if (source.startsWith("builtin:")) return source;
  if (!(await isDirectory(source))) return [source, await sha256File(source)];
  const { train, validation, leftOut } = await dataFilesIn(source, rules, config);
  const hashes: (readonly [string, string])[] = [];
  for (const path of [...train, ...validation]) hashes.push([path, await sha256File(path)]);
  return [source, train.length, hashes, leftOut];
}

function sha256Text(text: string): string {
  return sha256(new TextEncoder().encode(text));
}

function* both(first: Iterable<Uint8Array>, second: Iterable<Uint8Array>): Generator<Uint8Array, void> {
  yield* first;
  yield* second;
}
