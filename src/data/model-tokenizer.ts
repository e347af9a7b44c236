import { readTemplateFile } from "./chat-template.js";
import { Tokenizer } from "./tokenizer.js";

/** The tokenizer of a model folder, with the chat template of a file in place of its own where one is named. @throws as both are read. */
export async function modelTokenizer(folder: string, templateFile: string | null): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.fromFolder(folder);
  return templateFile === null ? tokenizer : tokenizer.withChatTemplate(await readTemplateFile(templateFile));
}
