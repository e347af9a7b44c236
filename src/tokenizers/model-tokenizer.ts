import { exists } from "#platform";
import { ConfigError, DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { optionName } from "../base/naming.js";
import { BUILT_IN_NAMES, BUILT_IN_TEMPLATES, type BuiltInTemplate } from "./built-in-templates.js";
import { readTemplateFile, templateNamed, templateNames } from "./stored-templates.js";
import type { Tokenizer } from "./tokenizer.js";

/** Where a model's tokenizer is, and how the model was trained with it. */
export interface TokenizerSource {
  /** Reads its files. */
  readonly read: () => Promise<Tokenizer>;
  /** False if nothing stood around the texts that the model was trained on. */
  readonly addSpecialTokens: boolean;
}

/**
 * Reads the tokenizer of a model, with another chat template if one is named.
 * @throws ConfigError for a template of tokens that the model was not trained with; as reading the two.
 */
export async function modelTokenizer(
  { read, addSpecialTokens }: TokenizerSource,
  chatTemplate: string | null,
): Promise<Tokenizer> {
  const stored = await read();
  const tokenizer = await withTemplate(addSpecialTokens ? stored : stored.withoutSurround(), chatTemplate);
  if (tokenizer.newTokens.length === 0) return tokenizer;
  throw new ConfigError(
    `${optionName("chatTemplate")}: ${chatTemplate} is written with ${tokenizer.newTokens.join(", ")}, which the model has not learned; ` +
      `train it with that template first, or choose one that needs no tokens of its own: ${WITHOUT_TOKENS.join(", ")}`,
  );
}

/** Built-in templates that any tokenizer can write. */
export const WITHOUT_TOKENS: readonly string[] = BUILT_IN_NAMES.filter(
  (name) => BUILT_IN_TEMPLATES[name]!.tokens.length === 0,
);

/**
 * The tokenizer with that of its templates which has this name, with the template in the file of this name, or with a
 * built-in one and the special tokens that it needs (`Tokenizer.newTokens`).
 * @throws DataError if there is neither, and as `readTemplateFile`; ConfigError for a built-in one that it cannot have.
 */
export async function withTemplate(tokenizer: Tokenizer, nameOrFile: string | null): Promise<Tokenizer> {
  if (nameOrFile === null) return tokenizer;
  const named = templateNamed(tokenizer.config, nameOrFile);
  if (named !== undefined) return tokenizer.withChatTemplate(named);
  if (await exists(nameOrFile)) return tokenizer.withChatTemplate(await readTemplateFile(nameOrFile));
  const builtIn = BUILT_IN_TEMPLATES[nameOrFile];
  if (builtIn !== undefined) return withBuiltIn(tokenizer, nameOrFile, builtIn);
  const names = templateNames(tokenizer.config);
  const own = names.length === 0 ? "" : `the tokenizer's templates are ${shownValue(names)}, `;
  throw new DataError(
    `${optionName("chatTemplate")}: there is no file ${nameOrFile}, ${own}and the built-in ones ` +
      `${BUILT_IN_NAMES.join(", ")}; name one`,
  );
}

function withBuiltIn(
  tokenizer: Tokenizer,
  name: string,
  { source, tokens, endsWithEos, beginsAsText }: BuiltInTemplate,
): Tokenizer {
  if (endsWithEos && tokenizer.namedTokens.get("eos_token") === undefined) {
    throw new ConfigError(
      `${optionName("chatTemplate")}: ${name} ends turns with eos_token, which tokenizer_config.json does not name; name it there`,
    );
  }
  const [first] = tokenizer.surround.before;
  const begins = beginsAsText && first !== undefined && first === tokenizer.findBeginOfText();
  return tokenizer.withTokens(tokens).withChatTemplate(begins ? `{{ bos_token }}${source}` : source);
}
