import { readTemplateFile } from "./chat-template.js";
import { Tokenizer } from "./tokenizer.js";

/** A tokenizer's files, and how a model was trained with it. */
export interface TokenizerSource {
  /** The folder with its tokenizer.json. */
  readonly folder: string;
  /** False if nothing stood around the texts that the model was trained on. */
  readonly addSpecialTokens: boolean;
}

/**
 * Reads the tokenizer of a model, with its chat template replaced by `templateFile` if that is given.
 * @throws as reading the two.
 */
export async function modelTokenizer(
  { folder, addSpecialTokens }: TokenizerSource,
  templateFile: string | null,
): Promise<Tokenizer> {
  const stored = await Tokenizer.fromFolder(folder);
  const tokenizer = addSpecialTokens ? stored : stored.withoutSurround();
  return templateFile === null ? tokenizer : tokenizer.withChatTemplate(await readTemplateFile(templateFile));
}
