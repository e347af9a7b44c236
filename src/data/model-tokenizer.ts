import { readTemplateFile } from "./chat-template.js";
import { Tokenizer } from "./tokenizer.js";

/**
 * Reads the tokenizer of a model folder, with its chat template replaced by `templateFile` if that is given.
 * @throws as reading the two.
 */
export async function modelTokenizer(folder: string, templateFile: string | null): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.fromFolder(folder);
  return templateFile === null ? tokenizer : tokenizer.withChatTemplate(await readTemplateFile(templateFile));
}
