import type { Command } from "commander";
import { exists, joinPath, makeFolder, requireRoom, writeFilesAtomic } from "#platform";
import { ConfigError, DataError } from "../base/errors.js";
import { formatCount } from "../base/numbers.js";
import { SETTINGS } from "../config/settings.js";
import { loadCorpus } from "../data/corpus.js";
import { locateData } from "../hub/locate-data.js";
import { inputsOf, requireApart } from "../loading/output-folder.js";
import { trainBytePairEncoding } from "../tokenizers/bpe-trainer.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { tokenizerConfigJson } from "../tokenizers/tokenizer-json.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { addVerb, addVerbGroup } from "./usage.js";

const OPTIONS = {
  vocabSize: SETTINGS.vocabSize,
  columns: SETTINGS.columns,
  document: SETTINGS.document,
  out: { type: "string", path: "path", help: "Folder that tokenizer.json and tokenizer_config.json are written to." },
  overwrite: { type: "boolean", default: false, help: "Replace a tokenizer that the folder has." },
} as const satisfies OptionTable;

/** Number of documents that the result is tried on. */
const TRIAL_DOCUMENTS = 1000;

/** `highrank tokenizer train FILE --out DIR` */
export function addTokenizer(program: Command, context: Context): void {
  const group = addVerbGroup(program, "tokenizer", "train a byte-level BPE tokenizer");
  const command = addVerb(group, "train", "learn a byte-level BPE from text and write tokenizer.json").argument(
    "<FILE>",
    SETTINGS.data.help,
  );
  addOptions(command, OPTIONS);
  command.action(async (source: string) => {
    const { vocabSize, out, overwrite, columns, document } = readOptions(command, OPTIONS);
    await requireApart(out, inputsOf({ data: source }));
    await requireRoom(out);
    const configFile = joinPath(out, "tokenizer_config.json");
    const target = joinPath(out, "tokenizer.json");
    for (const file of overwrite ? [] : [configFile, target]) {
      if (await exists(file))
        throw new ConfigError(`--out: ${file} exists already; name another folder, or add --overwrite`);
    }
    const data = await locateData(source, context.events);
    const reading = { columns, document, config: data.config };
    const { train: documents } = await loadCorpus(data.source, { validationFraction: 0, ...reading });
    if (documents.length === 0) {
      throw new DataError(`${source}: has no text to learn a tokenizer from, as tokens are none; name data with text`);
    }
    const json = trainBytePairEncoding(documents, { vocabSize });
    const [endOfText] = json.added_tokens;
    const config = tokenizerConfigJson(endOfText!.content, Number.MAX_SAFE_INTEGER);
    const tokenizer = Tokenizer.fromJson(json, { ...config });
    const trial = documents.slice(0, TRIAL_DOCUMENTS);
    const bytes = new TextEncoder().encode(trial.join("")).length;
    const tokens = tokenizer.encodeDocuments(trial).length - trial.length;

    await makeFolder(out);
    const files = [
      [configFile, config],
      [target, json],
    ] as const;
    const texts = files.map(([file, value]) => [file, `${JSON.stringify(value, null, 2)}\n`] as const);
    await writeFilesAtomic(new Map(texts), { replace: overwrite });
    const found = {
      path: target,
      vocabSize: tokenizer.vocabSize,
      documents: documents.length,
      bytesPerToken: bytes / tokens,
    };
    const short =
      found.vocabSize < vocabSize ? `; fewer than ${vocabSize}, because no more pairs of the text repeat` : "";
    context.result(found, () => [
      `wrote       ${target}`,
      `vocabulary  ${found.vocabSize} tokens${short}`,
      `learned on  ${formatCount(documents.length)} documents of ${source}`,
      `density     ${found.bytesPerToken.toFixed(2)} bytes a token`,
    ]);
  });
}
