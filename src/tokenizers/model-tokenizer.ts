import { exists } from "#platform";
import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { optionName } from "../base/naming.js";
import { readTemplateFile, templateNamed, templateNames } from "./stored-templates.js";
import { Tokenizer } from "./tokenizer.js";

/** A tokenizer's files, and how a model was trained with it. */
export interface TokenizerSource {
  /** The folder with its tokenizer.json. */
  readonly folder: string;
  /** False if nothing stood around the texts that the model was trained on. */
  readonly addSpecialTokens: boolean;
}

/**
 * Reads the tokenizer of a model, with another chat template if one is named.
 * @throws as reading the two.
 */
export async function modelTokenizer(
  { folder, addSpecialTokens }: TokenizerSource,
  chatTemplate: string | null,
): Promise<Tokenizer> {
  const stored = await Tokenizer.fromFolder(folder);
  return withTemplate(addSpecialTokens ? stored : stored.withoutSurround(), chatTemplate);
}

/**
 * The tokenizer with that of its templates which has this name, or with the template in the file of this name.
 * @throws DataError if there is neither, and as `readTemplateFile`.
 */
export async function withTemplate(tokenizer: Tokenizer, nameOrFile: string | null): Promise<Tokenizer> {
  if (nameOrFile === null) return tokenizer;
  const named = templateNamed(tokenizer.config, nameOrFile);
  if (named !== undefined) return tokenizer.withChatTemplate(named);
  const names = templateNames(tokenizer.config);
  if (names.length === 0 || (await exists(nameOrFile))) {
    return tokenizer.withChatTemplate(await readTemplateFile(nameOrFile));
  }
  throw new DataError(
    `${optionName("chatTemplate")}: there is no file ${nameOrFile}, and the tokenizer's templates are ` +
      `${shownValue(names)}; name one`,
  );
}
